//! The callers that API Gateway's IAM authorizer may let in, and what they may do.

use std::collections::HashSet;

use ledger::access::Scopes;
use ledger::id::Tenant;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::jwt::{read_scopes, read_tenant};

/// The callers that are let in, by their ARNs. Others are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamGrants(Vec<IamGrant>);

/// The list is invalid; the text says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IamGrantsError(String);

/// What the callers of an entry may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IamGrant {
    arns: ArnPattern,
    /// Their tenant.
    pub(crate) tenant: Tenant,
    /// Their scopes.
    pub(crate) scopes: Scopes,
}

/// One ARN, or all that continue one. In the order of how exact they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum ArnPattern {
    /// All ARNs that are longer. Ends in `/` or `:`, and holds an account.
    Under(String),
    /// This one.
    Is(String),
}

/// The form of the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantsForm {
    #[serde(default)]
    iam: Vec<GrantForm>,
    issuers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantForm {
    arn: String,
    #[serde(default)]
    prefix: bool,
    tenant: String,
    scopes: Vec<String>,
}

impl IamGrants {
    /// Reads `{"iam": [{"arn", "prefix", "tenant", "scopes"}]}`.
    ///
    /// # Errors
    /// Names the field that is unknown, missing or invalid.
    pub fn parse(json: &str) -> Result<Self, IamGrantsError> {
        let form: Result<GrantsForm, _> = serde_json::from_str(json);
        let form = form.map_err(|error| IamGrantsError(error.to_string()))?;
        let refused = |why: &str| Err(IamGrantsError(why.to_owned()));
        if form.issuers.is_some() {
            return refused("issuers: is for ASSET_LEDGER_AUTH=required");
        }
        if form.iam.is_empty() {
            return refused("iam: must list a caller");
        }
        let (mut grants, mut known) = (Vec::new(), HashSet::new());
        for (at, form) in form.iam.into_iter().enumerate() {
            let of = |why: String| IamGrantsError(format!("iam[{at}].{why}"));
            let grant = form.check().map_err(of)?;
            if !known.insert(grant.arns.clone()) {
                return Err(of("arn: is listed twice".to_owned()));
            }
            grants.push(grant);
        }
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.arns.exactness()));
        Ok(Self(grants))
    }

    /// What the caller with this ARN may do: the entry with its own ARN, else the longest prefix.
    pub(crate) fn of(&self, arn: &str) -> Option<&IamGrant> {
        self.0.iter().find(|grant| grant.arns.has(arn))
    }
}

impl GrantForm {
    fn check(self) -> Result<IamGrant, String> {
        if self.scopes.is_empty() {
            return Err("scopes: must have a value".to_owned());
        }
        Ok(IamGrant {
            arns: ArnPattern::read(self.arn, self.prefix).map_err(|why| format!("arn: {why}"))?,
            tenant: read_tenant(&self.tenant).map_err(|why| format!("tenant: {why}"))?,
            scopes: read_scopes(&self.scopes).map_err(|why| format!("scopes: {why}"))?,
        })
    }
}

impl ArnPattern {
    /// Callers are users, the root of an account, and sessions of roles and of federated users.
    fn read(mut arn: String, prefix: bool) -> Result<Self, &'static str> {
        if !arn.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?".contains(&byte)) {
            return Err("must be visible ASCII without * and ?; `prefix` is for more than one");
        }
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [_, _, service, _, _, resource] = parts[..] else { return Err(NO_CALLER) };
        let account_is_known =
            parts[4].len() == 12 && parts[4].bytes().all(|it| it.is_ascii_digit());
        let partition = parts[1] == "aws" || parts[1].starts_with("aws-");
        if parts[0] != "arn" || !partition || !parts[3].is_empty() || !account_is_known {
            return Err(NO_CALLER);
        }
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        let form = match (service, kind) {
            ("iam", "role") => return Err(ROLE),
            ("iam", "user") | ("sts", "federated-user") => resource.contains('/'),
            ("sts", "assumed-role") if prefix => resource.contains('/'),
            ("sts", "assumed-role") => match rest.split_once('/') {
                Some((role, session)) => !role.is_empty() && !session.contains('/'),
                None => return Err(ROLE),
            },
            ("iam", "root") => !prefix && resource == "root",
            ("iam" | "sts", "") => prefix && resource.is_empty(),
            _ => false,
        };
        if !form {
            return Err(NO_CALLER);
        }
        let role = service == "sts" && kind == "assumed-role" && !rest.contains('/');
        if prefix && role && !rest.is_empty() {
            arn.push('/');
        }
        match (prefix, arn.ends_with(['/', ':'])) {
            (true, true) => Ok(Self::Under(arn)),
            (false, false) => Ok(Self::Is(arn)),
            (true, false) => Err("with `prefix`, must end in / or :, or name an assumed role"),
            (false, true) => Err("ends in / or :, and `prefix` is not true"),
        }
    }

    fn has(&self, arn: &str) -> bool {
        match self {
            Self::Is(only) => only == arn,
            Self::Under(start) => arn.len() > start.len() && arn.starts_with(start.as_str()),
        }
    }

    fn exactness(&self) -> (bool, usize) {
        match self {
            Self::Under(start) => (false, start.len()),
            Self::Is(only) => (true, only.len()),
        }
    }
}

const NO_CALLER: &str = "must be a caller of an account, as `aws sts get-caller-identity` names it";
const ROLE: &str =
    "a role comes with a session: arn:aws:sts::ACCOUNT:assumed-role/ROLE with `prefix`";

#[cfg(test)]
mod tests {
    use ledger::access::Scope;
    use serde_json::{Value, json};

    use super::*;

    const USER: &str = "arn:aws:iam::123456789012:user/alice";
    const ROLE: &str = "arn:aws:sts::123456789012:assumed-role/uploader";

    fn entry(arn: &str, prefix: bool, tenant: &str) -> Value {
        json!({"arn": arn, "prefix": prefix, "tenant": tenant, "scopes": ["read"]})
    }

    fn parse(entries: &[Value]) -> Result<IamGrants, String> {
        let json = json!({"iam": entries}).to_string();
        IamGrants::parse(&json).map_err(|error| error.to_string())
    }

    fn tenant_of(grants: &IamGrants, arn: &str) -> Option<String> {
        grants.of(arn).map(|grant| grant.tenant.as_str().to_owned())
    }

    #[test]
    fn a_caller_has_the_most_exact_entry_and_others_have_none() {
        let account = "arn:aws:sts::123456789012:";
        let robot = format!("{ROLE}/robot");
        let team = "arn:aws:iam::123456789012:user/team/";
        let entries = [
            entry(account, true, "account"),
            entry(ROLE, true, "role"),
            entry(&robot, false, "robot"),
            entry(USER, false, "alice"),
            entry(team, true, "team"),
            entry("arn:aws:iam::123456789012:root", false, "root"),
        ];
        let mut other_order = entries.clone();
        other_order.reverse();
        let grants = parse(&entries).unwrap();
        assert_eq!(grants, parse(&other_order).unwrap(), "the order of entries is of no matter");
        for (arn, tenant) in [
            (&*robot, "robot"),
            (&format!("{robot}2"), "role"),
            ("arn:aws:sts::123456789012:assumed-role/uploader2/robot", "account"),
            ("arn:aws:sts::123456789012:federated-user/bob", "account"),
            (USER, "alice"),
            (&format!("{team}alice"), "team"),
            ("arn:aws:iam::123456789012:root", "root"),
        ] {
            assert_eq!(tenant_of(&grants, arn).as_deref(), Some(tenant), "{arn}");
        }
        for arn in [
            "arn:aws:iam::123456789012:user/alice2",
            "arn:aws:iam::123456789012:user/Alice",
            "arn:aws:iam::123456789012:user/alice/",
            "arn:aws:iam::123456789012:user/x/alice",
            "arn:aws:iam::123456789012:user/team",
            "arn:aws:iam::123456789012:user/teams/alice",
            "arn:aws:iam::123456789012:user/bob",
            "arn:aws:iam::123456789013:user/alice",
            "arn:aws-cn:iam::123456789012:user/alice",
            "arn:aws:sts::1234567890123:assumed-role/uploader/robot",
            "https://arn:aws:sts::123456789012:assumed-role/uploader/robot|x",
            team,
            account,
            "",
        ] {
            assert_eq!(tenant_of(&grants, arn), None, "{arn}");
        }
        assert_eq!(grants.of(USER).unwrap().scopes, [Scope::Read].into_iter().collect());
    }

    #[test]
    fn a_session_of_a_role_is_no_session_of_a_longer_one() {
        let grants = parse(&[entry(ROLE, true, "a")]).unwrap();
        assert_eq!(tenant_of(&grants, &format!("{ROLE}/s")).as_deref(), Some("a"));
        for tail in ["", "/", "2/s", "-admin/s"] {
            assert_eq!(tenant_of(&grants, &format!("{ROLE}{tail}")), None, "{tail}");
        }
        assert_eq!(grants, parse(&[entry(&format!("{ROLE}/"), true, "a")]).unwrap());
    }

    #[test]
    fn a_prefix_ends_at_a_boundary_within_one_account() {
        for arn in [
            "",
            "arn:",
            "arn:aws:",
            "arn:aws:iam:",
            "arn:aws:iam::",
            "arn:aws:iam::1234",
            "arn:aws:iam::1234:",
            "arn:aws:iam::123456789012",
            "arn:aws:iam::12345678901x:",
            "arn:aws:iam::123456789012:user",
            "arn:aws:iam::123456789012:user/al",
            "arn:aws:iam::123456789012:us/",
            "arn:aws:iam::123456789012:root",
            "arn:aws:iam::123456789012:/",
            "arn:aws:iam::123456789012:*",
            "arn:aws:iam::123456789012:user/*/",
            "arn:aws:iam::*:",
            "arn:*:iam::123456789012:",
            "arn:aws:iam:eu-central-1:123456789012:",
            "arn:aws:s3::123456789012:",
            "arn:aws:sts::123456789012:assumed-role",
            "arn:aws:sts::123456789012:assumed-role/uploader/se",
            "arn:aws:sts::123456789012:role/uploader/",
            "arn:aws:iam::123456789012:role/",
            " arn:aws:iam::123456789012:",
        ] {
            let error = parse(&[entry(arn, true, "a")]).expect_err(arn);
            assert!(error.starts_with("iam[0].arn: "), "{arn}: {error}");
        }
        for arn in [
            "arn:aws:iam::123456789012:",
            "arn:aws:iam::123456789012:user/",
            "arn:aws-us-gov:sts::123456789012:assumed-role/",
            "arn:aws:sts::123456789012:federated-user/",
        ] {
            assert!(parse(&[entry(arn, true, "a")]).is_ok(), "{arn}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (change, told) in [
            (json!({"arn": ROLE}), "iam[0].arn: a role comes with a session"),
            (json!({"arn": "arn:aws:iam::123456789012:role/a"}), "assumed-role/ROLE"),
            (json!({"arn": "arn:aws:iam::123456789012:user/"}), "`prefix` is not true"),
            (json!({"arn": format!("{ROLE}//s")}), "get-caller-identity"),
            (json!({"arn": 7}), "string"),
            (json!({"tenant": "A b"}), "iam[0].tenant: \"A b\""),
            (json!({"scopes": []}), "iam[0].scopes"),
            (json!({"scopes": ["fly"]}), "\"fly\""),
            (json!({"own_only": true}), "own_only"),
            (json!({"prefix": "yes"}), "boolean"),
        ] {
            let mut given = entry(USER, false, "acme");
            let change = change.as_object().unwrap().clone();
            given.as_object_mut().unwrap().extend(change.clone());
            let error = parse(&[given]).expect_err(told);
            assert!(error.contains(told), "{change:?}: {error}");
        }
        let twice = [entry(ROLE, true, "a"), entry(&format!("{ROLE}/"), true, "b")];
        assert_eq!(parse(&twice).unwrap_err(), "iam[1].arn: is listed twice");
        assert_eq!(parse(&[]).unwrap_err(), "iam: must list a caller");
        let refused = |json: &str| IamGrants::parse(json).expect_err(json).to_string();
        assert!(refused("{}").contains("iam"));
        assert!(refused(r#"{"issuers": [], "iam": []}"#).contains("issuers: is for"));
        assert!(refused(r#"{"iams": []}"#).contains("iams"));
        assert!(refused("").contains("EOF"));
    }
}
