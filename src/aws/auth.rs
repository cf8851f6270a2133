//! Who decides about the callers of the API's function, by its variables.

#[cfg(any(feature = "lambda", test))]
pub(crate) use function::auth_of_function;

/// Who decides which requests are served.
pub(crate) const AUTH: &str = "ASSET_LEDGER_AUTH";
/// The issuers whose tokens are accepted, or the callers whom API Gateway may let in, as JSON.
pub(crate) const AUTH_CONFIG: &str = "ASSET_LEDGER_AUTH_CONFIG";

#[cfg(any(feature = "lambda", test))]
mod function {
    use super::super::config::{ConfigError, variable};
    use super::{AUTH, AUTH_CONFIG};
    use crate::http::{AuthMode, IamGrants};
    use crate::jwt::AuthConfig;

    /// Who decides which requests a function serves.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct FunctionAuth {
        pub(crate) mode: AuthMode,
        /// The issuers whose tokens the function accepts.
        pub(crate) issuers: Option<AuthConfig>,
        /// The callers whom API Gateway may let in; without, all.
        pub(crate) iam: Option<IamGrants>,
    }

    /// Who decides about callers. The mode has no default: a function that anybody can call would
    /// be open by a missing variable.
    ///
    /// # Errors
    /// Names the variable if it is missing or invalid.
    pub(crate) fn auth_of_function() -> Result<FunctionAuth, ConfigError> {
        read_auth(variable)
    }

    pub(super) fn read_auth(
        look: impl Fn(&str) -> Option<String>,
    ) -> Result<FunctionAuth, ConfigError> {
        let given = |name| look(name).filter(|value| !value.is_empty());
        let value = given(AUTH).ok_or(ConfigError::Missing(AUTH))?;
        let expected = "a function has `gateway` (API Gateway's authorizer decides) or \
            `required` (an API key or a token decides)";
        let mode = AuthMode::named(&value).filter(|mode| *mode != AuthMode::None);
        let mode = mode.ok_or(ConfigError::Form { name: AUTH, value, expected })?;
        let mut auth = FunctionAuth { mode, issuers: None, iam: None };
        if let Some(json) = given(AUTH_CONFIG) {
            match mode {
                AuthMode::Gateway => auth.iam = Some(IamGrants::parse(&json)?),
                _ => auth.issuers = Some(AuthConfig::parse(&json)?),
            }
        }
        Ok(auth)
    }
}

#[cfg(test)]
mod tests {
    use super::function::{FunctionAuth, read_auth};
    use super::*;
    use crate::http::{AuthMode, IamGrants};
    use crate::jwt::AuthConfig;

    fn read(mode: &str, json: &str) -> Result<FunctionAuth, String> {
        let known = [(AUTH, mode), (AUTH_CONFIG, json)];
        let look = |name: &str| Some(known.iter().find(|it| it.0 == name)?.1.to_owned());
        read_auth(look).map_err(|invalid| invalid.to_string())
    }

    fn plain(mode: AuthMode) -> FunctionAuth {
        FunctionAuth { mode, issuers: None, iam: None }
    }

    #[test]
    fn a_function_is_told_who_decides_about_callers() {
        assert_eq!(read("gateway", ""), Ok(plain(AuthMode::Gateway)));
        assert_eq!(read("required", ""), Ok(plain(AuthMode::Required)));
        for value in ["", "none", "Required"] {
            assert!(read(value, "").unwrap_err().contains(AUTH), "{value:?}");
        }
        assert!(read_auth(|_| None).unwrap_err().to_string().contains(AUTH));
    }

    #[test]
    fn a_function_is_told_whose_tokens_it_accepts_or_whom_the_gateway_may_let_in() {
        let tokens = r#"{"issuers": [{"issuer": "https://id.example", "audiences": ["ledger"],
            "tenant": {"fixed": "acme"}, "at_most": ["read"]}]}"#;
        let callers = r#"{"iam": [{"arn": "arn:aws:iam::123456789012:user/a", "tenant": "acme",
            "scopes": ["read"]}]}"#;
        let issuers = AuthConfig::parse(tokens).ok();
        let expected = FunctionAuth { issuers, ..plain(AuthMode::Required) };
        assert_eq!(read("required", tokens), Ok(expected));
        let iam = IamGrants::parse(callers).ok();
        assert_eq!(read("gateway", callers), Ok(FunctionAuth { iam, ..plain(AuthMode::Gateway) }));
        for (mode, json, told) in [
            ("gateway", tokens, "issuers: is for ASSET_LEDGER_AUTH=required"),
            ("required", callers, "issuers"),
            ("required", r#"{"issuers": [], "iam": []}"#, "with ASSET_LEDGER_AUTH=gateway"),
            ("gateway", "{}", "iam"),
            ("required", "{}", "issuers"),
            ("gateway", "none", AUTH_CONFIG),
        ] {
            let error = read(mode, json).expect_err(json);
            assert!(error.contains(AUTH_CONFIG) && error.contains(told), "{json}: {error}");
        }
    }
}
