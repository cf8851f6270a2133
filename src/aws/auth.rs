//! Who decides about the callers of the API's function, by its variables.

#[cfg(any(feature = "lambda", test))]
use super::config::{ConfigError, variable};
#[cfg(any(feature = "lambda", test))]
use crate::http::AuthMode;
#[cfg(any(feature = "lambda", test))]
use crate::jwt::AuthConfig;

/// Who decides which requests are served.
pub(crate) const AUTH: &str = "ASSET_LEDGER_AUTH";
/// The issuers whose tokens are accepted, as JSON.
pub(crate) const AUTH_CONFIG: &str = "ASSET_LEDGER_AUTH_CONFIG";

/// Who decides which requests the function of the API serves, and the issuers whose tokens it
/// accepts. The first has no default: a function that anybody can call would be open by a missing
/// variable.
///
/// # Errors
/// Names the variable if it is missing or invalid.
#[cfg(any(feature = "lambda", test))]
pub(crate) fn auth_of_function() -> Result<(AuthMode, Option<AuthConfig>), ConfigError> {
    read_auth(variable)
}

#[cfg(any(feature = "lambda", test))]
fn read_auth(
    look: impl Fn(&str) -> Option<String>,
) -> Result<(AuthMode, Option<AuthConfig>), ConfigError> {
    let given = |name| look(name).filter(|value| !value.is_empty());
    let value = given(AUTH).ok_or(ConfigError::Missing(AUTH))?;
    let expected = "a function has `gateway` (API Gateway's authorizer decides) or `required` (an \
        API key or a token decides)";
    let mode = AuthMode::named(&value).filter(|mode| *mode != AuthMode::None);
    let mode = mode.ok_or(ConfigError::Form { name: AUTH, value, expected })?;
    let issuers = given(AUTH_CONFIG).map(|json| AuthConfig::parse(&json)).transpose()?;
    if issuers.is_some() && mode != AuthMode::Required {
        return Err(ConfigError::IssuersUnused);
    }
    Ok((mode, issuers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_told_who_decides_about_callers() {
        let read = |value: Option<&str>| {
            read_auth(|name| value.filter(|_| name == AUTH).map(str::to_owned))
        };
        assert_eq!(read(Some("gateway")), Ok((AuthMode::Gateway, None)));
        assert_eq!(read(Some("required")), Ok((AuthMode::Required, None)));
        for value in [None, Some(""), Some("none"), Some("Required")] {
            assert!(read(value).unwrap_err().to_string().contains(AUTH), "{value:?}");
        }
    }

    #[test]
    fn a_function_is_told_whose_tokens_it_accepts() {
        let read = |mode: &str, json: &str| {
            let known = [(AUTH, mode), (AUTH_CONFIG, json)];
            let look = |name: &str| Some(known.iter().find(|it| it.0 == name)?.1.to_owned());
            read_auth(look).map_err(|invalid| invalid.to_string())
        };
        let json = r#"{"issuers": [{"issuer": "https://id.example", "audiences": ["ledger"],
            "tenant": {"fixed": "acme"}, "at_most": ["read"]}]}"#;
        assert_eq!(read("required", json), Ok((AuthMode::Required, AuthConfig::parse(json).ok())));
        assert_eq!(read("required", ""), Ok((AuthMode::Required, None)));
        assert!(read("gateway", json).unwrap_err().contains("ASSET_LEDGER_AUTH=required"));
        let error = read("required", "{}").unwrap_err();
        assert!(error.contains(AUTH_CONFIG) && error.contains("issuers"), "{error}");
    }
}
