//! Local file paths, as settings name them.

use std::path::PathBuf;

/// Parses the path of a setting, bare or behind the `//` of a URL with an empty host (`///srv/photos`). No shell
/// expands it, so `~` and `$VARIABLE` are refused instead of becoming names of folders.
///
/// # Errors
/// What is wrong, and what to write.
pub fn local_path(text: &str) -> Result<PathBuf, String> {
    let path = match text.trim() {
        absolute if absolute.starts_with("///") => &absolute[2..],
        path => path,
    };
    if path.is_empty() {
        Err("the path is empty".into())
    } else if path.starts_with("//") {
        Err("a path has no // before it; begin it with its folder, or with one / for a path from the root".into())
    } else if path == "~" || path.starts_with("~/") {
        Err("~ is not looked up here; write the home folder out".into())
    } else if path.starts_with('$') {
        Err("a variable is not looked up here; write its value out".into())
    } else if path.contains('\0') {
        Err("a path has no NUL".into())
    } else {
        Ok(path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_it_says_or_is_refused() {
        for (text, path) in [
            ("data/x", "data/x"),
            ("/srv/x", "/srv/x"),
            ("///srv/x", "/srv/x"),
            (" a b \n", "a b"),
            ("./~/x", "./~/x"),
            ("~x", "~x"),
        ] {
            assert_eq!(
                local_path(text).as_deref(),
                Ok(std::path::Path::new(path)),
                "{text}"
            );
        }
        for (text, word) in [
            ("", "empty"),
            (" ", "empty"),
            ("//", "no //"),
            ("//x/y", "no //"),
            ("~", "home folder"),
            ("~/x", "home folder"),
            ("$HOME/x", "variable"),
            ("${X}", "variable"),
            ("a\0b", "NUL"),
        ] {
            let fault = local_path(text).unwrap_err();
            assert!(fault.contains(word), "{text}: {fault}");
        }
    }
}
