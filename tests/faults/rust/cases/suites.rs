//! Faults that tests of other suites make happen, frame by frame or with programs in other languages: they are run from
//! here, and not written twice.

use super::Case;
use super::How::{Command, Test};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "F11",
            "all pairs with grpc-go at the other end of the original's wire",
            Command(&["tests/interop/run"]),
        ),
        Case::new(
            "F11",
            "an edge of the first release",
            Test("tunnels", "skew::the_first_releases_hello_is_welcome"),
        ),
        Case::new(
            "F11",
            "a server of the first release",
            Test(
                "tunnels",
                "skew::an_edge_goes_on_with_a_server_of_the_first_release",
            ),
        ),
        Case::new(
            "F11",
            "an edge of the original",
            Test(
                "tunnels",
                "legacy::an_edge_of_the_original_is_called_listed_and_taken_once",
            ),
        ),
        Case::new(
            "F11",
            "a server of the original",
            Test(
                "tunnels",
                "legacy::the_originals_server_makes_a_call_and_the_backend_sees_its_own_authority",
            ),
        ),
        Case::new(
            "F23",
            "a backend does not read",
            Test(
                "traps",
                "limits::uploads_that_the_backend_does_not_read_block_nobody_else",
            ),
        )
        .short(),
        Case::new(
            "F25",
            "5,000 early answers to uploads under way",
            Test(
                "floods",
                "resets::five_thousand_early_answers_to_uploads_under_way_harm_nobody",
            ),
        )
        .short(),
        Case::new(
            "F26",
            "uploads are reset, with every code",
            Test(
                "traps",
                "frames::an_upload_that_is_reset_never_looks_complete",
            ),
        )
        .short(),
        Case::new(
            "F27",
            "the backend resets before headers, with every code",
            Test(
                "status",
                "backend::a_reset_before_headers_becomes_the_status_of_its_reason",
            ),
        )
        .short(),
        Case::new(
            "F27",
            "the backend resets after headers, with every code",
            Test(
                "status",
                "backend::a_reset_after_headers_keeps_the_bytes_and_becomes_trailers",
            ),
        )
        .short(),
        Case::new(
            "F28",
            "the backend goes away: what it took ends, the rest is sent anew",
            Test(
                "status",
                "life::a_backend_that_goes_away_finishes_what_it_took_and_gets_the_rest_anew",
            ),
        )
        .short(),
        Case::new(
            "F28",
            "the backend goes away again and again",
            Test("status", "life::many_connections_that_go_away_cost_no_call"),
        )
        .short(),
        Case::new(
            "F28",
            "the backend refuses a stream, or goes away before it",
            Test(
                "traps",
                "forms::what_is_proven_unprocessed_is_tried_once_more",
            ),
        )
        .short(),
        Case::new(
            "F28",
            "the backend goes away at once with what it took",
            Test(
                "traps",
                "forms::what_may_have_been_processed_is_never_tried_again",
            ),
        )
        .short(),
        Case::new(
            "F28",
            "what a backend throws back is executed once",
            Test("replay", "what_a_backend_throws_back_is_executed_once"),
        )
        .short(),
        Case::new(
            "F29",
            "rapid reset of calls that were taken",
            Test(
                "floods",
                "resets::rapid_reset_of_calls_that_were_taken_is_kept_to_a_pace_and_cut",
            ),
        )
        .short(),
        Case::new(
            "F29",
            "rapid reset",
            Test(
                "floods",
                "resets::rapid_reset_ends_its_connection_and_harms_nobody_else",
            ),
        )
        .short(),
        Case::new(
            "F29",
            "the server is made to reset, in each way",
            Test(
                "floods",
                "resets::who_makes_the_server_reset_loses_the_connection",
            ),
        )
        .short(),
        Case::new(
            "F29",
            "PING, SETTINGS, WINDOW_UPDATE, PRIORITY and empty frames without end",
            Test(
                "floods",
                "frames::a_flood_of_one_kind_of_frame_ends_its_connection",
            ),
        )
        .short(),
        Case::new(
            "F29",
            "header lists that are too large",
            Test(
                "floods",
                "headers::lists_that_are_too_large_cost_a_call_or_the_callers_connection",
            ),
        )
        .short(),
        Case::new(
            "F29",
            "header lists that grow when they are read",
            Test(
                "floods",
                "headers::lists_that_grow_when_they_are_read_take_no_memory",
            ),
        )
        .short(),
        Case::new(
            "F29",
            "CONTINUATION without end",
            Test("floods", "headers::blocks_without_end_end_their_connection"),
        )
        .short(),
        Case::new(
            "F29",
            "a backend that floods",
            Test(
                "floods",
                "backends::a_backend_that_floods_fails_the_calls_on_its_lane",
            ),
        )
        .short(),
        Case::new(
            "F30",
            "callers that say nothing, or stop in the middle: TCP, TLS, preface, headers",
            Test(
                "traps",
                "limits::whoever_says_nothing_or_stops_in_the_middle_is_cut",
            ),
        )
        .short(),
        Case::new(
            "F30",
            "a header block that stops in the middle",
            Test(
                "floods",
                "headers::blocks_that_stop_in_the_middle_end_their_connection",
            ),
        )
        .short(),
        Case::new(
            "F30",
            "edges that say no hello",
            Test("tunnels", "yamux::what_says_no_hello_is_hung_up_on"),
        )
        .short(),
        Case::new(
            "F31",
            "a backend that talks nonsense",
            Test(
                "faults",
                "a_fault_is_never_a_clean_end_and_hurts_nobody_elsewhere",
            ),
        ),
        Case::new(
            "F32",
            "an edge opens streams without end",
            Test(
                "floods",
                "edges::an_edge_that_opens_streams_without_end_loses_its_tunnel",
            ),
        ),
        Case::new(
            "F32",
            "an edge floods its tunnel",
            Test("floods", "edges::an_edge_that_floods_its_tunnel_loses_it"),
        ),
        Case::new(
            "F32",
            "a peer sends frames of one byte",
            Test(
                "tunnels",
                "yamux::a_flood_of_streams_or_of_tiny_frames_harms_nobody_else",
            ),
        ),
        Case::new(
            "F32",
            "a peer speaks no yamux",
            Test("tunnels", "yamux::what_speaks_no_yamux_is_hung_up_on"),
        ),
        Case::new(
            "F33",
            "a server runs out of descriptors",
            Test(
                "overload",
                "running_out_of_descriptors_burns_nothing_and_is_got_over",
            ),
        )
        .short(),
        Case::new(
            "F33",
            "callers take descriptors that edges need",
            Test(
                "overload",
                "callers_take_no_descriptor_that_an_edge_needs_and_nobody_takes_the_last",
            ),
        )
        .short(),
        Case::new(
            "F34",
            "memory runs short of those who do not read",
            Test(
                "overload",
                "memory_that_runs_short_costs_those_who_do_not_read_and_comes_back",
            ),
        ),
        Case::new(
            "F35",
            "the disk that the log is on is full",
            Test(
                "logs",
                "what_a_full_disk_did_not_take_is_written_when_it_has_room",
            ),
        ),
        Case::new(
            "F35",
            "nobody reads the server's log",
            Test(
                "logs",
                "a_server_whose_log_is_not_read_works_on_and_says_later_what_is_missing",
            ),
        ),
        Case::new(
            "F35",
            "nobody reads an edge's log",
            Test(
                "logs",
                "an_edge_whose_log_is_not_read_works_on_and_says_later_what_is_missing",
            ),
        ),
        Case::new(
            "F36",
            "a configuration is reloaded half-written, too large, or from what is no file",
            Test(
                "configuration",
                "reload::a_file_that_is_broken_changes_nothing",
            ),
        ),
        Case::new(
            "F36",
            "a configuration is reloaded, and its file is gone",
            Test(
                "configuration",
                "reload::a_file_that_was_found_and_is_gone_changes_nothing",
            ),
        ),
        Case::new(
            "F36",
            "a configuration is reloaded with a mistake",
            Test(
                "configuration",
                "reload::one_mistake_and_everything_stays_as_it_was",
            ),
        ),
        Case::new(
            "F37",
            "the server's certificate has expired",
            Test(
                "tls",
                "tunnel::a_server_whose_certificate_has_expired_gets_no_edge",
            ),
        ),
        Case::new(
            "F37",
            "edges have certificates that have expired, are another authority's, or none",
            Test(
                "tls",
                "tunnel::an_edge_without_the_right_certificate_gets_no_tunnel",
            ),
        ),
        Case::new(
            "F37",
            "authorities and certificates change under load",
            Test(
                "tls",
                "reload::authorities_and_certificates_change_under_load_and_no_call_fails",
            ),
        ),
        Case::new(
            "F40",
            "10,000 edges come back at once",
            Command(&["tests/storm/run"]),
        ),
        Case::new(
            "F41",
            "10,000 edges idle for five minutes",
            Command(&["tests/storm/run", "--idle", "300"]),
        ),
    ]
}
