//! Bearer tokens: what each of them sees and writes.

use tempfile::TempDir;

use super::replace;
use crate::support::{Server, http, now_ms, stdout, wait_for, write};

const ALL: &str = "token-for-everything";
const TEAM: &str = "token-of-the-team-a";
const READ: &str = "token-for-reading-only";

/// A server whose store has the series `x{team="a"}`, `x{team="b"}` and `y{team="b"}`.
struct Store {
    dir: TempDir,
    server: Server,
}

impl Store {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        write(&dir.path().join("read.token"), &format!("{READ}\n"));
        let web = write(
            &dir.path().join("web.yml"),
            // SHA-256 of the team's token.
            &format!(
                "bearer_tokens:\n- {{name: all, token: {ALL}, access: [read, write, admin]}}\n\
                 - {{name: team, token_sha256: {}, matchers: ['team=\"a\"']}}\n\
                 - {{name: read, token_file: read.token, access: [read]}}\n",
                "6a54be34316d97b8b3757282e5104d2159bad795ac93302bf32db5abe6330c10"
            ),
        );
        let web = format!("--web.config.file={}", web.display());
        let flags = ["--no-host-metrics", "--web.enable-lifecycle", &web];
        let server = Server::spawn(&dir.path().join("d"), &flags);
        let store = Self { dir, server };
        wait_for("the server to be ready", || {
            let token = format!("Bearer {ALL}");
            let ready = http(
                "GET",
                &format!("{}/-/ready", store.server.url),
                &[("Authorization", &token)],
                "",
            );
            ready.ok().filter(|answer| answer.status == 200)
        });
        let now = now_ms();
        let lines = [("x", "a"), ("x", "b"), ("y", "b")].map(|(name, team)| line(name, team, now));
        let (status, body) = store.ask("POST", ALL, "/api/v1/import", &lines.concat());
        assert_eq!(status, 204, "{body}");
        store
    }

    fn ask(&self, method: &str, token: &str, path: &str, body: &str) -> (u16, String) {
        let token = format!("Bearer {token}");
        let url = format!("{}{path}", self.server.url);
        let answer = http(method, &url, &[("Authorization", &token)], body).unwrap();
        (answer.status, answer.body)
    }

    fn get(&self, token: &str, path: &str) -> String {
        let (status, body) = self.ask("GET", token, path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

fn line(name: &str, team: &str, t: i64) -> String {
    format!(
        "{{\"metric\":{{\"__name__\":\"{name}\",\"team\":\"{team}\"}},\"values\":[1],\"timestamps\":[{t}]}}\n"
    )
}

#[test]
fn a_token_sees_only_what_its_matchers_allow() {
    let store = Store::start();
    for path in [
        "/api/v1/query?query={team!=\"\"}",
        "/api/v1/query?query=count+by(team)(x+or+y)",
        "/api/v1/query?query=x{team=\"b\"}",
        "/api/v1/query?query=absent(x{team=\"b\"})",
        "/api/v1/series?match[]={team!=\"\"}",
        "/api/v1/label/team/values",
        "/api/v1/label/__name__/values?match[]={team=\"b\"}",
        "/api/v1/labels?match[]=y",
        "/federate?match[]={team!=\"\"}",
        "/api/v1/export?match[]={team!=\"\"}",
    ] {
        let path = path
            .replace('{', "%7B")
            .replace('}', "%7D")
            .replace('"', "%22");
        let (all, team) = (store.get(ALL, &path), store.get(TEAM, &path));
        let shows_b = |text: &str| {
            text.contains("\"b\"") && !path.contains("absent") || text.contains("\"y\"")
        };
        assert!(!shows_b(&team), "{path}\n{team}");
        assert_ne!(all, team, "{path}");
    }
    let file = write(&store.dir.path().join("team.token"), TEAM);
    let file = file.to_str().unwrap();
    let server = ["--url", &store.server.url, "--token-file", file];
    let series = stdout(&[&["series", "{team!=\"\"}"][..], &server].concat());
    assert_eq!(series, "x{team=\"a\"}\n");
    let table = stdout(&[&["query", "--format=csv", "x"][..], &server].concat());
    assert!(
        table.contains("\"\"a\"\"") && !table.contains("\"\"b\"\""),
        "{table}"
    );
    let count = store.get(TEAM, "/api/v1/query?query=count(x)");
    assert!(count.contains(",\"1\"]"), "{count}");
    // What is not made of series for one client is closed.
    for path in ["/api/v1/targets", "/metrics", "/api/v1/status/tsdb", "/"] {
        let (status, body) = store.ask("GET", TEAM, path, "");
        assert_eq!(status, 403, "{path}: {body}");
        assert!(body.contains("token \\\"team\\\" is restricted"), "{body}");
    }
}

#[test]
fn a_token_writes_only_what_its_matchers_allow() {
    let store = Store::start();
    let now = now_ms();
    let lines = line("new", "a", now) + &line("new", "b", now);
    let (status, body) = store.ask("POST", TEAM, "/api/v1/import", &lines);
    assert_eq!(status, 400, "{body}");
    let want = "not allowed with token \"team\" for series {__name__=\"new\", team=\"b\"}";
    assert!(body.contains(want), "{body}");
    let values = store.get(ALL, "/api/v1/query?query=new");
    assert!(
        values.contains("\"a\"") && !values.contains("\"b\""),
        "{values}"
    );
    let (status, body) = store.ask("POST", READ, "/api/v1/import", &lines);
    assert_eq!(status, 403, "{body}");
    assert!(
        body.contains("token \\\"read\\\" has no access to write"),
        "{body}"
    );
    let (status, _) = store.ask("POST", READ, "/-/reload", "");
    assert_eq!(status, 403);
    let (status, _) = store.ask("POST", ALL, "/-/reload", "");
    assert_eq!(status, 200);
}

#[test]
fn tokens_are_asked_for_and_renewed() {
    let store = Store::start();
    let bare = http(
        "GET",
        &format!("{}/api/v1/labels", store.server.url),
        &[],
        "",
    )
    .unwrap();
    assert_eq!(bare.status, 401);
    assert_eq!(store.ask("GET", "token-of-nobody-here", "/", "").0, 401);
    assert_eq!(store.ask("GET", READ, "/api/v1/labels", "").0, 200);
    replace(
        &store.dir.path().join("read.token"),
        "another-token-for-reading",
    );
    wait_for("the new token", || {
        let status = store
            .ask("GET", "another-token-for-reading", "/api/v1/labels", "")
            .0;
        (status == 200).then_some(())
    });
    assert_eq!(store.ask("GET", READ, "/api/v1/labels", "").0, 401);
}
