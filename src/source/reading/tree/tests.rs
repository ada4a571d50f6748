use super::*;

#[test]
fn zz_experiment() {
    let show = |t: &str| match parse(t) {
        Ok(d) => {
            println!("OK {}", d.iter().map(|n| format!("{}@{}", n.to_json(), n.at)).collect::<Vec<_>>().join(" | "))
        }
        Err(e) => println!("ERR {} {}", e.at, e.message),
    };
    show("a:\n  b:\n    profiles:\n    \t- name: \"test\"\n        conditions:\n          - \"off\"\n  type: k8s\n");
    show("spec:\n  type: pod\n  cron: *\\1 * * * *\n  pod:\n    spec: 1\n");
    show("spec:\n  type: pod\n  cron: */1 * * * *\n  pod:\n    spec: 1\n");
    show("spec:\n  cron: * * * * *\n  pod:\n    spec: 1\n");
    show("spec:\n  cron: @daily\n  pod:\n    spec: 1\n");
    show("spec: {cron: @daily, a: 1}");
    show("a:\n\tb: 1\n");
    show("a:\n  b: 1\n\tc: 1\n");
    show("{\n\t\"a\": [\n\t\t1,\n\t\t{\"b\": \"x\\ud83d\\ude00\\/\"}\n\t]\n}\n");
    show("a: 1\na: 2\n");
    show("x: &x {a: 1}\ny: {<<: *x, b: 2, a: 3}\n");
    show("a: .inf\nb: 1e400\nc: 017\nd: 0x1f\ne: 0o17\nf: +5\ng: 1.\nh: .5\ni: -\nj: 1_000\nk: 2001-01-01\n");
    show("");
    show("# c\n---\n---\na: 1\n...\n---\nb: 2\n");
    show("a: [1, 2\nb: 3\n");
    show("a: b: c\n");
    show("a: \"x\n");
    show("a: 'x' y\n");
    show("? [a]\n: b\n");
    show("a: &a [*a]\n");
    show("- a\nb: c\n");
    show("a: |\n  x\n \ty\n");
    show("\u{feff}a: 1\n");
    show("a: \0\n");
    show("a: !foo 1\nb: !!str 2\n");
    show("a: x #c\n# \t\nb: %d\n");
    show("a:\n - b\n  - c\n");
    show("  a: 1\n b: 2\n");
    show("{\"a\":1,}{");
    let big: String = format!("{{\"a\":[{}1]}}", "{\"k\":1},".repeat(40000));
    let t = std::process::Command::new("date").arg("+%s.%N").output().unwrap();
    println!("{:?}", String::from_utf8_lossy(&t.stdout));
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = format!("a: \"{}\"\n", "x".repeat(1_000_000));
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = "[".repeat(1_000_000);
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = "- ".repeat(500_000);
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = "? ".repeat(500_000);
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = "!a ".repeat(300_000);
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = "a: ".repeat(300_000);
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = "{\"a".repeat(300_000);
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = (0..90_000).map(|i| format!("k{i}: 1\n")).collect();
    println!("{:?}", parse(&big).map(|d| d.len()));
    let big: String = (0..19_000).map(|i| format!("x{i}: &a{i} *a{}\n", i - 1)).collect();
    println!("{:?}", parse(&big).map(|d| d.len()));
    let t = std::process::Command::new("date").arg("+%s.%N").output().unwrap();
    println!("{:?}", String::from_utf8_lossy(&t.stdout));
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for i in 1..20 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","));
    }
    show(&bomb);
}
