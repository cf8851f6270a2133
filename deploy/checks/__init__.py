"""Checks of the template that need no AWS account: the usual tools on the expanded template, and
our own rules for the rest."""
