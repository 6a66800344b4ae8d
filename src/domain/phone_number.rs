//! The two spellings that some countries' mobile numbers have, by one digit. Platforms file a number under either: what
//! is sent to one shows under the other, and the answer comes from there. Pure.
//!
//! Two spellings count as one number only where the numbering plan leaves no second subscriber:
//!
//! | Country | With its digit | Without | Why it is the same subscriber |
//! | --- | --- | --- | --- |
//! | Argentina | `54 9` and 10 digits | `54` and 10 digits | area codes begin with 1, 2 or 3; a block of numbers of an area is for land lines or for mobiles, and the 9 only says that it is for mobiles |
//! | Mexico | `52 1` and 10 digits | `52` and 10 digits | national numbers have 10 digits, none begins with 0 or 1; the 1 has been dropped since 2019 |
//! | Brazil | `55 DD 9` and 8 digits | `55 DD` and 8 digits | the 9 was put before mobile numbers, which began with 6 to 9; land lines begin with 2 to 5 and have no such digit |

/// A country with two spellings of each mobile number.
struct Plan {
    country: &'static str,
    /// Digits between the country code and the additional digit.
    area: usize,
    additional: char,
    /// Digits behind the additional digit.
    rest: usize,
    /// What the area code (where there is one before the additional digit) and the rest begin with.
    is_mobile: fn(area: &str, rest: &str) -> bool,
}

const PLANS: [Plan; 3] = [
    Plan { country: "54", area: 0, additional: '9', rest: 10, is_mobile: |_, rest| begins_with(rest, "123") },
    Plan { country: "52", area: 0, additional: '1', rest: 10, is_mobile: |_, rest| begins_with(rest, "23456789") },
    Plan {
        country: "55",
        area: 2,
        additional: '9',
        rest: 8,
        is_mobile: |area, rest| !area.contains('0') && begins_with(rest, "6789"),
    },
];

fn begins_with(digits: &str, one_of: &str) -> bool {
    digits.chars().next().is_some_and(|first| one_of.contains(first))
}

impl Plan {
    /// Returns the number without the additional digit, where it has it.
    fn shortened(&self, digits: &str) -> Option<String> {
        let (area, behind) = digits.strip_prefix(self.country)?.split_at_checked(self.area)?;
        let rest = behind.strip_prefix(self.additional)?;
        (rest.len() == self.rest && (self.is_mobile)(area, rest)).then(|| format!("{}{area}{rest}", self.country))
    }

    /// Returns the number with the additional digit, where it lacks it.
    fn lengthened(&self, digits: &str) -> Option<String> {
        let (area, rest) = digits.strip_prefix(self.country)?.split_at_checked(self.area)?;
        (rest.len() == self.rest && (self.is_mobile)(area, rest))
            .then(|| format!("{}{area}{}{rest}", self.country, self.additional))
    }
}

/// Returns the other spelling of an international number (digits alone, country code first); `None` where it has one.
pub(super) fn other_spelling(digits: &str) -> Option<String> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    PLANS.iter().find_map(|plan| plan.shortened(digits).or_else(|| plan.lengthened(digits)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mobile_numbers_of_three_countries_have_two_spellings() {
        for (with, without) in [
            ("5491155551234", "541155551234"),
            ("5492215551234", "542215551234"),
            ("5493764555123", "543764555123"),
            ("5215512345678", "525512345678"),
            ("5218112345678", "528112345678"),
            ("5511987654321", "551187654321"),
            ("5571961234567", "557161234567"),
        ] {
            assert_eq!(other_spelling(with).as_deref(), Some(without));
            assert_eq!(other_spelling(without).as_deref(), Some(with));
        }
    }

    #[test]
    fn other_numbers_have_one() {
        for only in [
            "34600111222",
            "5511234567890", // a 9 is needed
            "551133334444",  // a land line
            "5511933334444", // a mobile number that never had a spelling of 8 digits
            "5501987654321", // no such area
            "541155551234567",
            "54915555123",
            "5490115555123",
            "525012345",
            "520512345678",
            "521512345678", // 52 and 1512345678: no number begins with 1
            "5411555512",
            "12025550123",
            "visitor",
            "",
            "54",
        ] {
            assert_eq!(other_spelling(only), None, "{only}");
        }
    }

    fn numbers() -> impl Strategy<Value = String> {
        prop_oneof![
            "5[245][0-9]{9,12}",
            "549[0-9]{9,11}",
            "521[0-9]{9,11}",
            "55[0-9]{2}9[0-9]{7,9}",
            "[1-9][0-9]{7,14}"
        ]
    }

    proptest! {
        #[test]
        fn a_number_is_the_other_of_its_other(number in numbers()) {
            if let Some(other) = other_spelling(&number) {
                prop_assert_ne!(&other, &number);
                prop_assert_eq!(other.len().abs_diff(number.len()), 1);
                prop_assert_eq!(other_spelling(&other), Some(number));
            }
        }

        #[test]
        fn no_two_numbers_have_the_same_other(one in numbers(), two in numbers()) {
            // Each number has one other, so at most two numbers are one person.
            if let (Some(of_one), Some(of_two)) = (other_spelling(&one), other_spelling(&two)) {
                prop_assert_eq!(of_one == of_two, one == two);
            }
        }

        #[test]
        fn a_brazilian_land_line_is_nobody_elses(number in "55[1-9]{2}[2-5][0-9]{7}") {
            prop_assert_eq!(other_spelling(&number), None);
        }
    }
}
