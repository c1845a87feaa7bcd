//! Content negotiation: parses the lists of weighted choices that `Accept` and its kin are (RFC 9110, 12.4.2).

/// Each choice of a header in its order, with its quality value `q` from 0, which means not acceptable, to 1; one
/// whose `q` is no such number is left out. Other parameters are ignored.
pub fn choices(header: &str) -> impl Iterator<Item = (&str, f32)> {
    header.split(',').filter_map(|choice| {
        let mut parts = choice.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim_end()
                .eq_ignore_ascii_case("q")
                .then(|| value.trim().parse())
        });
        let weight: f32 = weight.unwrap_or(Ok(1.0)).ok()?;
        (0.0..=1.0).contains(&weight).then_some((name, weight))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_has_its_weight_whatever_stands_beside_it() {
        let header = "a, b;q=0.5,c ; level=1; Q = 0 ,;q=1, d;q=7, e;q=x, f;q=-0.1, g;q=NaN";
        let found: Vec<_> = choices(header).collect();
        assert_eq!(found, [("a", 1.0), ("b", 0.5), ("c", 0.0)]);
        assert_eq!(choices("").count(), 0);
    }
}
