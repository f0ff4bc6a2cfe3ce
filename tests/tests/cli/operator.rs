//! `kick`, `unban` and `bans`.

use grpc_multiplexer_tests::{Edge, Mux};

use crate::run::{Running, Said, documented, keys, run};

async fn server() -> (Mux, String) {
    let mux = Mux::with(&["--operator-listener", "127.0.0.1:0"]).await;
    let address = mux.operator_listener().await.to_string();
    (mux, address)
}

async fn order(address: &str, args: &[&str]) -> Said {
    run(&[args, &["--operator-address", address]].concat()).await
}

#[tokio::test]
async fn an_operator_kicks_bans_and_unbans() {
    let (mux, address) = server().await;
    let _edge = Edge::start(&mux, "rainbow", "127.0.0.1:1".parse().unwrap()).await;
    let none = order(&address, &["bans"]).await;
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{none:?}");
    assert!(none.err.contains("no client id is banned"), "{none:?}");

    let kick = ["kick", "rainbow", "--reason", "under repair"];
    let said = order(&address, &[&kick[..], &["--ban", "1h"]].concat()).await;
    let wanted = "rainbow: 1 tunnel closed, kept out for 1h\n";
    assert_eq!((said.code, said.out.as_str()), (0, wanted), "{said:?}");
    let said = order(
        &address,
        &["kick", "attic", "--reason=x", "--ban=9m", "--json"],
    )
    .await;
    let done = &said.objects()[0];
    assert_eq!(keys(done), ["ban_seconds", "client_id", "tunnels"]);
    assert_eq!(
        (&done["tunnels"], &done["ban_seconds"]),
        (&0.into(), &540.0.into())
    );
    documented("kick", done).await;

    let said = order(&address, &["bans"]).await;
    let rows: Vec<Vec<_>> = said
        .out
        .lines()
        .map(|row| row.split("  ").collect())
        .collect();
    assert_eq!(rows.len(), 3, "{said:?}");
    assert!(
        rows[1][0] == "attic" && rows[2].ends_with(&["under repair"]),
        "{said:?}"
    );
    let said = order(&address, &["bans", "--json"]).await;
    let ban = &said.objects()[1];
    assert_eq!(keys(ban), ["client_id", "left_seconds", "reason"]);
    documented("bans", ban).await;

    let said = order(&address, &["unban", "rainbow"]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "rainbow may connect again\n")
    );
    let said = order(&address, &["unban", "rainbow"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("'rainbow' is not banned"), "{said:?}");
    let said = order(&address, &["unban", "attic", "--json"]).await;
    documented("unban", &said.objects()[0]).await;
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_may_mend_it() {
    let (mux, address) = server().await;
    let proxy = mux.proxy.to_string();
    let kick = ["kick", "rainbow", "--reason", "why"];
    for (address, args, code, said) in [
        (&address, &kick[..], 1, "no edge is connected as 'rainbow'"),
        (&proxy, &kick, 1, "does not serve operators"),
        (&mux.admin.to_string(), &kick, 1, "--operator-listener"),
        (
            &"127.0.0.1:1".to_owned(),
            &kick,
            1,
            "nothing listens on 127.0.0.1:1",
        ),
        (&address, &kick[..2], 2, "--reason"),
        (&address, &["kick", "rain bow", "--reason=x"], 2, "rain bow"),
        (
            &address,
            &["kick", "rainbow", "--reason=x", "--ban=9"],
            2,
            "unit is missing",
        ),
        (
            &address,
            &["kick", "rainbow", "--reason="],
            1,
            "reason is missing",
        ),
        (
            &address,
            &["kick", "rainbow", "--reason=x", "--ban=366d"],
            1,
            "ban must be 0 to 365 days",
        ),
        // Longer than can be said.
        (
            &address,
            &[
                "kick",
                "rainbow",
                "--reason=x",
                "--ban=18446744073709551615s",
            ],
            1,
            "ban must be 0 to 365 days",
        ),
    ] {
        let answer = order(address, args).await;
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(answer.err.contains(said), "no {said} in {answer:?}");
        assert_eq!(answer.out, "");
    }
    assert_eq!(run(&kick).await.code, 2, "no address");
}

#[tokio::test]
async fn who_watches_reads_why_an_edge_was_taken_off() {
    let (mux, address) = server().await;
    let _edge = Edge::start(&mux, "rainbow", "127.0.0.1:1".parse().unwrap()).await;
    let proxy = mux.proxy.to_string();
    let watch = ["watch", "--proxy-address", &proxy];
    let mut objects = Running::start(&[&watch[..], &["--json"]].concat());
    let mut lines = Running::start(&watch);
    assert_eq!(objects.object().await["event"], "present");
    assert_eq!(objects.object().await["event"], "snapshot-end");
    lines.line().await;
    let kick = ["kick", "rainbow", "--reason=under repair", "--ban=1h"];
    assert_eq!(order(&address, &kick).await.code, 0);
    let gone = objects.object().await;
    assert_eq!(gone["event"], "disconnected");
    assert_eq!(gone["reason"], "under repair");
    let line = lines.line().await;
    assert!(
        line.ends_with("disconnected  rainbow  under repair"),
        "{line}"
    );
}
