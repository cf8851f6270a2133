"""The AWS form on an emulator: deployed from the real template, with the real functions."""
