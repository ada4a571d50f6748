//! Who the command runs as, from `/etc/passwd` (a device without a name service is the normal case).

/// A user of this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `None` for a number that nobody has a name for.
    pub name: Option<String>,
    /// User number.
    pub uid: u32,
    /// Number of the main group.
    pub gid: u32,
    /// Absolute.
    pub home: String,
    /// The login shell.
    pub shell: String,
}

/// Finds a user by name or number. A number without an entry is a user too, of the group with the same number.
pub fn find(wanted: &str) -> Result<User, String> {
    let passwd = std::fs::read("/etc/passwd")
        .map_err(|why| format!("user {wanted:?} cannot be looked up: /etc/passwd cannot be read ({why})"))?;
    find_in(&String::from_utf8_lossy(&passwd), wanted)
}

fn find_in(passwd: &str, wanted: &str) -> Result<User, String> {
    let number: Option<u32> = wanted.parse().ok();
    let mut users = passwd.lines().filter_map(entry);
    let is_it = |user: &User| match number {
        Some(uid) => user.uid == uid,
        None => user.name.as_deref() == Some(wanted),
    };
    if let Some(user) = users.find(is_it) {
        return Ok(user);
    }
    match number {
        // The largest number means "leave it as it is" to the kernel.
        Some(uid) if uid != u32::MAX => {
            Ok(User { name: None, uid, gid: uid, home: "/".into(), shell: "/bin/sh".into() })
        }
        _ => Err(format!(
            "user {wanted:?} does not exist on this device: create it (useradd), or name one that stands in /etc/passwd"
        )),
    }
}

/// `name:password:uid:gid:comment:home:shell`
fn entry(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.get(..7)? else { return None };
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    Some(User {
        name: Some((*name).to_owned()),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: or(home, "/"),
        shell: or(shell, "/bin/sh"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\n# comment\nbroken:x\nnone:x:a:b:::\npi:x:1000:1001:,,,:/home/pi:\n";

    #[test]
    fn by_name_and_by_number() {
        let pi = find_in(PASSWD, "pi").unwrap();
        assert_eq!((pi.uid, pi.gid, pi.home.as_str(), pi.shell.as_str()), (1000, 1001, "/home/pi", "/bin/sh"));
        assert_eq!(find_in(PASSWD, "1000").unwrap(), pi);
    }

    #[test]
    fn a_number_without_an_entry_is_a_user() {
        let user = find_in(PASSWD, "4711").unwrap();
        assert_eq!((user.name, user.uid, user.gid), (None, 4711, 4711));
    }

    #[test]
    fn nobody_is_said_by_name() {
        for wanted in ["bob", "", "broken", "none", "4294967295", "-1", "99999999999"] {
            let why = find_in(PASSWD, wanted).unwrap_err();
            assert!(why.starts_with(&format!("user {wanted:?} does not exist on this device")), "{why}");
        }
    }
}
