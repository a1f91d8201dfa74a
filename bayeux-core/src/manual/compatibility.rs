//! What this server does differently from the Java server and from cometd-nodejs-server.
//!
//! CometD's own clients, Faye's, aiocometd and jsforce are to talk to it as they talk to the
//! originals. Where the references disagree with each other, this is the order of precedence:
//!
//! 1. No client in use may break.
//! 2. What the CometD Java server (6.0) does on the wire.
//! 3. The Bayeux text.
//! 4. What cometd-nodejs-server (1.2.1) does.
//!
//! Where both servers do something that is plainly a defect, this one does the right thing. The
//! tables list every deliberate difference from one of the two. What the NodeJS server does was seen
//! on the wire; what the Java server does was read in its source and tests. "Same" means: as here.
//! The last column names the test that pins what is done here, in the test kit's `nodejs_wire` (names that begin with `c`,
//! and `limits`), `java_behaviours` (names that begin with `b` or `issue`) or `websocket`, or in the core's own `it`.
//!
//! # Handshake
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | handshake among other messages | HTTP 500, no session | HTTP 500, and a session that never expires | HTTP 400, no session; nothing of the payload is done | it is the client's mistake, and it must have no effect | `c05_handshake_with_another_message_is_400_and_makes_nothing`, `b005_b006_a_handshake_travels_alone` |
//! | `minimumVersion` above 1.0 | not looked at | not looked at | `300::version_unsupported`, advice `none` | the Bayeux text; the client would not understand the session | `c02_handshake_without_members_is_accepted_and_foreign_types_are_refused` |
//! | `version` missing or high | accepted | accepted | accepted | clients differ in what they send | the same |
//! | no connection type in common | accepted | accepted | `301::connection_types_unsupported`, advice `none`; a missing list is accepted, an empty one is not | the Bayeux text; the client would have to find out by itself | `b009_to_b012_connection_types_are_negotiated` |
//! | unsuccessful reply | no `supportedConnectionTypes` | no `supportedConnectionTypes` | lists them | the Bayeux text allows it; the client learns what there is | the same |
//! | members of a wrong type | not looked at | not looked at | `400::message_invalid` | a mistake in one message is answered in its reply | `c02_handshake_without_members_is_accepted_and_foreign_types_are_refused` |
//! | members of a successful reply | same | no `minimumVersion` | `minimumVersion` among them | Java | `c01_handshake_is_accepted_with_a_cookie_and_three_members_of_advice` |
//! | a policy that fails | the request fails | HTTP 500 | denied, and reported | the safe outcome is "no", and the client can be told | `c04_denied_handshake_and_a_policy_that_fails` |
//! | a policy that never answers | the request hangs | the request hangs | denied after `question_timeout` (30 s) | whatever waits has a deadline | `b205_a_policy_that_never_answers_denies` |
//! | what grants | `true` (`null`, too, for three of the four questions) | anything but `false` | [`Verdict::Allow`](crate::Verdict::Allow) | a forgotten result must not open the door | `c04_denied_handshake_and_a_policy_that_fails` |
//! | the middle field of `403:…:…_denied` | `denied_by_security_policy`, or the reason given | always empty | the reason given, else empty | the reason is the application's to tell | `b113_b144_a_denial_has_its_reason_advice_and_ext` |
//! | a colon in a reason | as it is | - | becomes a semicolon | it would end the field | `b007_b008_a_refusal_with_reason_advice_and_ext` |
//! | disconnecting a session as soon as it is added | same | TypeError, HTTP 400 | works; the client is told with its first connect | | `c59_a_session_may_be_disconnected_as_soon_as_it_is_added` |
//! | when those who listen for new sessions run | before the reply is made | before the reply is made | after the session was made, one event after another | no application code runs inside a transition; what they deliver is queued in any case | `b023_events_delivered_on_arrival_wait_for_the_first_connect` |
//! | form of `clientId` | base 36, with a counter | 40 hexadecimal digits | 36 hexadecimal digits: a tag of the shard and 128 random bits | routing without tables; the grammar of the Bayeux text | `c01_handshake_is_accepted_with_a_cookie_and_three_members_of_advice` |
//!
//! # Cookie and session
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | a cookie that this server did not issue | adopted | adopted | replaced by the handshake's reply; opens nothing | session fixation, and strangers that share one quota | `c03_an_invented_cookie_is_replaced` |
//! | cookie values such as `__proto__` | adopted | HTTP 400, and a leaked session | as no cookie | | `c49_cookie_values_that_are_names_of_something_else_are_no_cookies` |
//! | `Path` of the cookie | `/` | none | `/` | the clients append to the path | `c01_handshake_is_accepted_with_a_cookie_and_three_members_of_advice` |
//! | `Secure` | only if the request was secure | as configured | as configured; a combination that browsers drop is refused at the start | behind a proxy that ends TLS no request looks secure | `b161_cookie_attributes`, `c53_all_cookie_attributes` |
//! | each message's `clientId` | checked | only the first one's | checked | a payload belongs to one session | `c33_each_messages_client_id_is_checked`, `b168_b169_a_foreign_client_id_is_unknown` |
//! | `402` to a message with `subscription` | echoes it | does not | echoes it | the Bayeux text | `c36_unknown_sessions_get_402_and_advice_on_connect_only` |
//! | no `channel` and no session | `400::channel_missing` | `402::session_unknown` | `400::channel_missing` | Java | the same |
//! | long-polling and callback-polling | do not share sessions | no callback-polling | share them | the browser's cookie is the same | `b174_polling_and_jsonp_share_sessions` |
//! | which requests count as HTTP/2 | those that say exactly `HTTP/2.0` | - | HTTP/2 and later | what counts is that requests share a connection | `b167_over_http_2_all_tabs_are_held` |
//!
//! # Connect
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | the first connect of a session | answered at once | held | answered at once, with advice | clients that do not send `advice.timeout: 0` start without waiting | `c06_first_connect_is_answered_at_once_with_advice` |
//! | the client's `advice.timeout` | without a bound | without a bound; beyond 2³¹ ms answered at once | at most `limits.client_timeout` (5 min) | a peer-supplied number is clamped | `c08_a_client_chooses_its_hold_time_within_a_bound` |
//! | the client's `advice.interval` | told back; without a bound | not told back; a string makes the session immortal | told back; at most `limits.client_interval` (5 min) | Java; bounded | `c58_an_interval_of_the_wrong_type_is_refused_and_no_session_is_immortal` |
//! | `advice`, or members of it, of a wrong type | HTTP 500 | see above | `400::message_invalid` | | the same |
//! | `connectionType` | not looked at | not looked at | must be a string if it is there; which one does not matter | the transport that carries a connect is known | `c09_any_connection_type_or_none_is_accepted` |
//! | advice that was asked for, with events queued | given | not given | given | Java | `c28_a_connect_that_asks_for_advice_gets_it_with_events_too` |
//! | a listener vetoes a connect | `404::message_deleted` | a reply without `successful` | `404::message_deleted` | Java | `c24_a_vetoed_connect_fails_and_says_so` |
//! | the client disconnects while a connect is held | advice `none` | no advice | advice `none` | Java | `c35_disconnect_answers_the_held_connect_with_advice_to_stop` |
//! | the server disconnects while none is held | the session is gone, and its last events with it | lost | the client's next request gets the last events, `/meta/disconnect` and, if it is a connect, advice `none`; forgotten when the session would have expired | otherwise a client that was ended on purpose comes right back | `c38_a_client_learns_that_the_server_disconnected_it_held_or_not`, `b094_to_b096_the_server_disconnects_after_its_last_deliveries` |
//! | the connection of a held connect is lost | found out when writing to it | never found out | noticed at once: the expiry starts, the browser's place is free | a tab that was closed should not block the next one | `b070_a_client_that_vanishes_with_a_held_connect`, `b163_b164_surplus_tabs_poll_until_the_held_one_ends` |
//! | events in a response that is lost | lost | lost | go back to the head of the queue | at-most-once begins when the response was handed over, not before | `c46_an_event_survives_a_broken_connect`, `issue_810_a_queue_that_is_taken_twice_loses_and_doubles_nothing` |
//! | advice of a surplus session, when it may be held again | not given | not given | full advice, once | cometd.js keeps the last interval that it was told | `c40_the_second_session_of_a_browser_polls_until_it_may_be_held` |
//! | first connect of a surplus session | same | no `timeout` in the advice | the full advice, with the polling interval in it | Java | the same |
//! | expiry of a surplus session | its polling interval does not count | the same | counts like an `interval` | a `multi_session_interval` above `max_interval` would end every surplus session | `b163_a_surplus_tab_lives_for_as_long_as_it_is_told_to_wait` |
//! | the end of the server | held connects get HTTP 500 | held connects stay held | [`drain`](crate::Command::Drain): they are answered with an interval drawn below a spread, and no session is made (`503::draining`) | so that the next server does not meet all clients at once | `b061_draining_answers_held_connects_and_makes_no_session` |
//!
//! # Expiry
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | when a silent session ends | up to one `sweepPeriod` late | the same | to the moment | one timer for the next deadline; nothing scans all sessions | `c39_a_silent_session_expires` |
//! | messages other than connects | last at least `maxInterval` more | accumulate quadratically | last at least `max_interval` more | Java | `b077_to_b079_issue_650_any_message_postpones_the_expiry_linearly` |
//! | while the application thinks about a message | `maxProcessing`, off by default | no expiry during a connect | no expiry, unless `max_processing` says so; the question has a deadline of its own | every wait ends, for one reason | `b046_b082_a_session_does_not_expire_while_the_application_thinks` |
//! | idle channels | removed on the third sweep | removed on the next sweep | removed after three periods without use | Java's grace, without sweeps | `b086_an_idle_channel_is_swept_after_three_periods_and_not_before` |
//! | service channels | stay for ever | removed on the next sweep | removed like any other, unless `persistent` | a client can invent as many as it likes | `service_channels_that_a_client_invents_are_swept` |
//! | invented meta channels | not created | stay for ever | not created | | `c21_an_invented_meta_channel_is_answered_and_not_created` |
//!
//! # Subscribe and unsubscribe
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | a list of which one channel is refused | those before it are subscribed | the same, or their channels made | nothing is subscribed and nothing made | the reply says that it failed | `c12_meta_channels_cannot_be_subscribed_to_and_a_list_is_all_or_nothing`, `c15_denied_subscribes_leave_no_trace` |
//! | an empty list | a reply without `successful` | success | success | a reply needs `successful` | `c11_subscribe_to_nothing` |
//! | elements that are no strings | turned into strings | HTTP 400 | `403::subscription_invalid` | | `c48_invalid_names_and_types_are_answered_and_the_payload_goes_on` |
//! | names that are none (`/foo//bar`, `/*/x`) | HTTP 500 | accepted | `403::subscription_invalid` | the grammar; never an HTTP error | `c14_names_that_bayeux_forbids_are_refused` |
//! | meta channels | `403:denied_by_security_policy:subscribe_denied` | `403::subscribe_failed` | `403::subscribe_denied`, for wildcards below `/meta` too, whatever the policy says | Java without its reason | `b105_meta_channels_have_no_subscribers` |
//! | creation refused | `403:…:create_denied` | `403::subscribe_denied` | `403:…:create_denied` | Java | `c15_denied_subscribes_leave_no_trace` |
//! | service channels | recorded nowhere, but the channel is made | recorded nowhere | recorded nowhere, and nothing is made | | `c13_subscribing_to_a_service_channel_succeeds_and_records_nothing` |
//! | unsubscribing from a channel that does not exist | `400::channel_missing` | success | success | the client has what it wants; a channel may have been swept meanwhile | `b115_twice_is_once_nothing_is_not_missed_and_a_list_is_all_or_nothing` |
//! | unsubscribing from a meta channel | `403::unsubscribe_failed` | success | success | the same | `c16_unsubscribe` |
//! | unsubscribing from what is no name | `403::subscription_invalid` | success | `403::subscription_invalid` | Java | the same |
//!
//! # Publish and delivery
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | what subscribers see of a message | all but `clientId` and `id` | all but `clientId` and `id`; a member `_json` replaces all of it | `channel`, `data`, and `ext` if there is one | other members are the publisher's own, and could pass for the server's | `c18_events_have_data_and_only_ext_beside_it`, `c55_no_member_of_a_publish_can_forge_an_event` |
//! | a publish without `data` | an event without `data` | the same | an event with `data: null` | clients tell events from replies by `data` | `c18_events_have_data_and_only_ext_beside_it` |
//! | numbers, escapes, order of members | parsed and written anew | parsed and written anew | as they came, to the byte | numbers beyond 2⁵³ survive | `c54_text_numbers_and_escapes_arrive_to_the_byte` |
//! | `id` that is a number | comes back as a string | comes back as it came | comes back as it came | no client depends on the change | `c25_ids_are_echoed_as_they_came_if_they_are_ids` |
//! | `id` that is no id | `405::message_id_invalid` | echoed whatever it is | `405::message_id_invalid`; echoed only if it is a short string; `null` counts as none | bounded, and no markup of others in our answers | the same, `b063_an_id_that_could_be_markup_is_refused_with_200` |
//! | overlapping subscriptions | one copy | one copy for each | one copy | the client does the rest | `c29_overlapping_subscriptions_give_one_copy` |
//! | publishing on a wildcard | routed | success | `405::channel_invalid` | the Bayeux text: wildcards are for subscriptions | `c19_service_channels_need_no_listener_and_wildcards_are_no_channels` |
//! | names that are none | HTTP 500, or `405::channel_invalid` for their characters | accepted, or HTTP 400 | `405::channel_invalid` | never an HTTP error | `c48_invalid_names_and_types_are_answered_and_the_payload_goes_on`, `b120_illegal_channels_are_refused_with_200` |
//! | `clientId`, `ext`, `channel` of a wrong type | HTTP 500 | HTTP 400, or accepted | `400::message_invalid`; the payload's other messages go on | there is something to reply to | `c48_invalid_names_and_types_are_answered_and_the_payload_goes_on` |
//! | an invented meta channel | `403:denied_by_security_policy:channel_create_denied` | HTTP 500 | `404::meta_channel_unknown` | it says what is wrong | `c21_an_invented_meta_channel_is_answered_and_not_created` |
//! | creation refused | `403:…:channel_create_denied` | `403::channel_denied` | `403:…:channel_create_denied` | Java | `c22_denied_publishes` |
//! | publish refused on a channel that does not exist | the channel is made | the channel is made | nothing is made | what is denied has no effect | the same |
//! | a listener vetoes a message | `404::message_deleted` | `successful: true` | `404::message_deleted` | Java; the publisher must know | `c23_a_veto_is_told_and_a_failing_listener_is_contained` |
//! | a listener fails | logged, goes on | HTTP 500 or 400 | reported, goes on | Java | the same |
//! | a listener never answers | the request hangs | the request hangs | `404::message_deleted` after `question_timeout` (30 s), and the listener is dropped; other sessions never wait | whatever waits has a deadline; what listeners and extensions behind it would have said is not known | `c57_a_listener_that_never_answers_has_not_let_the_message_through`, `handlers_that_never_end_do_not_pile_up` |
//! | order of listeners | root to leaf | wildcards from leaf to root, then the channel | root to leaf: `/**`, `/a/**`, `/a/*`, `/a/b` | Java | `b146_listeners_run_from_the_root_to_the_leaf_and_in_their_order` |
//! | how a listener changes a message | it changes the message | it changes the message | `Flow::Replace` with other data; the channel and `ext` stay | messages are encoded once and shared | `b123_b206_a_wildcard_listener_changes_the_data_for_everybody` |
//! | lazy timeout | that of the message's own channel | no lazy messages | that of the most specific channel or wildcard that has one | settings of a wildcard are for the channels below it | `b149_the_most_specific_channel_that_has_a_lazy_timeout_decides` |
//! | `broadcast_to_publisher` of a channel | that of the channel or wildcard that is subscribed to | always | that of the channel, else of the nearest wildcard above it | the same | `b130_a_publisher_does_not_hear_itself_where_that_is_switched_off` |
//! | two deliveries in a row while a connect is held | one response if the second one is quick enough | two responses, unless they are batched | one response, if the first one is not written yet | what a client is owed is made up when it is written | `c27_what_is_delivered_before_the_response_is_written_leaves_with_it` |
//! | delivering to a session that is gone | reports `false` | reports success | `Error::SessionGone` | | `b076_nothing_is_delivered_to_a_removed_session` |
//! | an event left behind by a bad payload | - | a batch stays open, and nothing wakes the connect any more | every batch ends with its payload | | `c48_invalid_names_and_types_are_answered_and_the_payload_goes_on` |
//!
//! # HTTP
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | what is no payload | 400 or 500, empty | 400, empty | 400 and a line of plain text that quotes nothing | it says what is wrong | `c47_what_is_no_payload_is_400_and_a_lone_object_is_a_message` |
//! | an empty array | 500 | 400 | 400 | it is the client's mistake | the same |
//! | `null` | 200, empty | 400 | 400 | it is no payload | the same |
//! | a message that is not in an array | accepted | 400 | accepted, answered with an array | Java; the Bayeux text allows it | the same |
//! | an array in the array | - | `402::session_unknown` | 400 | it is no message | the same |
//! | a body that is too large | 500; no bound by default | no bound | 413; 65,536 bytes by default | the status that says so; bounded by default | `b142_a_payload_that_is_too_large_is_413_and_delivers_nothing` |
//! | a query that is too long (callback-polling) | the container's affair | - | 414 | the same | `b175_a_query_that_is_too_long_is_414` |
//! | other methods | 400 | 400 | 405 with `Allow` | the status that says so | `c50_other_methods_are_405_and_options_is_204` |
//! | `OPTIONS` | 200 | 400 | 204 with `Allow`, with CORS headers for origins that are allowed | CORS needs no filter in front | the same, `b183_a_page_of_a_listed_origin` |
//! | content types | not looked at (asynchronous) or JSON and forms (blocking) | not looked at | JSON types, none, and forms; else 415 | a page of another site can send some types without asking | `c51_jsonp_upgrades_forms_and_plain_text` |
//! | plain text | accepted | accepted | 415, but for pages of listed origins, where it is a form | Faye's browser client sends forms so | `b183_what_a_page_can_send_without_asking_is_taken_from_listed_origins_only` |
//! | forms and untyped bodies from a foreign site | accepted | accepted | 403 if the browser says `Sec-Fetch-Site: cross-site` and the origin is not listed | cross-site request forgery | the same |
//! | charsets | any | taken for UTF-8 | UTF-8; else 415 | JSON is UTF-8 | `b131_b132_b133_falsy_and_foreign_data_arrive_whatever_the_type_says` |
//! | a character cut by the network | whole | destroyed | whole | bytes are joined before they are text | `c54_text_numbers_and_escapes_arrive_to_the_byte` |
//! | `Content-Type` of answers | with `charset=UTF-8` | without | with `charset=UTF-8` | Java | `c01_handshake_is_accepted_with_a_cookie_and_three_members_of_advice` |
//! | `Cache-Control`, `X-Content-Type-Options` | none | none | `no-store`, `nosniff` | answers are for one client, and are never pages | the same |
//! | a superseded connect | 500, or any status from 400 | 500, or any status | 500, or any status from 400 to 599 | a success would be taken for an answer | `c31_the_older_of_two_connects_gets_500_and_the_newer_is_held`, `issue_883_the_default_status_of_a_superseded_connect_is_not_408` |
//! | a body that a middleware has parsed | - | taken as it is, without containment | there is no such entrance | | `c52_every_exchange_is_answered_whoever_has_read_its_body` |
//! | a request behind a held one on the same connection | answered after it | never answered | answered after it | | `c56_a_publish_behind_a_held_connect_is_answered` |
//! | callback-polling | on | not there | off by default; with `/**/` in front, `nosniff` and `Content-Disposition` when on | its answers can be read by any page | `b174_b176_a_whole_conversation` |
//!
//! # WebSocket
//!
//! The NodeJS server has none, so this is about the Java server alone.
//!
//! | topic | Java | here | why | test |
//! | --- | --- | --- | --- | --- |
//! | pages of other origins | accepted: a hook decides, and says yes | 403 unless the origin is listed or the server's own | browsers open sockets to any server, with its cookies; no preflight asks first | `foreign_origins_are_refused_unless_they_are_listed` |
//! | a sub-protocol that nobody configured | accepted, none selected | the first one offered is selected | browsers fail the connection otherwise | `a_sub_protocol_is_required_or_the_first_one_taken` |
//! | mistakes of the peer | 1011 for all of them | 1002, 1003, 1007, 1008, 1009: see `ws::Close` | they are no internal errors | `what_is_no_payload_ends_the_socket_with_a_code_and_leaves_the_session` |
//! | binary messages | ignored | closed with 1003 | a client that waits for an answer learns why there is none | `a_violation_of_the_frames_ends_the_socket` |
//! | a connect among other messages | may be held, and the replies of the others with it | not held | clients wait for the others' replies | `a_connect_among_other_messages_is_not_held` |
//! | the server's disconnect without a held connect | queued, and not sent | sent at once | | `the_servers_disconnect_reaches_a_client_without_a_held_connect` |
//! | a lost connection with a held connect | noticed when the connect's time is up; events until then are lost | noticed at once: the expiry starts; what was not written is kept | as over HTTP | `a_lost_socket_leaves_its_session_until_the_deadline`, `what_was_not_written_comes_on_the_next_socket` |
//! | a connect that is still being processed when its session moves to another socket | may be held there | gets no answer | the session is held where its client is | `a_connect_that_was_decided_about_while_its_session_moved_on_is_not_held` |
//! | what comes on a socket that its session has left for another link | processed; a connect is held there again | dropped, and the socket is closed with 1000 when it owes nothing: its client has no answer, as when a connection breaks | clients leave sockets that have failed them; what comes there was said before. Whoever knows an id takes its session over, as ever: then the socket of the other one is closed | `nor_does_what_comes_later_on_a_socket_that_was_left` |
//! | a peer that does not read | buffered without a bound, until a write fails | one parcel is written at a time, what waits is in the queue and counted | | `a_client_that_reads_nothing_is_bounded_and_holds_up_nobody` |
//! | a silent peer | the container's idle timeout, 5 min or none | pinged after 45 s, closed with 1001 after 75 s | half-open connections are found out; a heartbeat alone would take `timeout` and more | `a_silent_peer_is_pinged_and_given_up_if_it_stays_silent` |
//! | a socket without a session | stays for as long as its container lets it | closed after 75 s without a message, pings notwithstanding | it is of no use to anybody | `a_socket_that_nobody_makes_a_session_on_is_closed_whatever_it_sends_besides` |
//! | the end of the server | closed with 1000 | held connects are answered with advice, then closed with 1001 | as over HTTP | `a_draining_server_answers_held_connects_and_closes` |
//! | a session of HTTP goes on over WebSocket | by its `clientId` | the same, unless `ws_require_handshake_per_connection` | | `a_session_of_http_may_go_on_over_websocket` |
//! | an HTTP message of a session that is on a WebSocket | answered there; advice for a new transport | answered there; the socket stays the session's until a connect comes over HTTP | a page that says goodbye by a beacon does not move | the same |
//! | several events in one text | replies share a text, events are sent one by one | the same; a text is also bounded in bytes (`ws.max_frame_bytes`) | clients have bounds, too | `events_share_a_text_as_far_as_it_goes` |
//!
//! # Services and remote calls
//!
//! The NodeJS server has neither, so this is about the Java server alone. The tests are among the
//! test kit's `applications`.
//!
//! | topic | Java | here | why | test |
//! | --- | --- | --- | --- | --- |
//! | a handler that panics, or throws | the failure is the exception's class and message | the failure is `{"message":"internal error"}`; the panic is reported | what is inside the server is no business of its clients | `a_panic_is_an_internal_error_to_the_client_and_reported_in_full` |
//! | data of another shape than the handler's | whatever the handler makes of it | the handler does not run; a failure with a `message`; on a broadcast channel `404::message_deleted` | a handler that vets messages must not be walked around | `data_of_the_wrong_shape_fails_the_call`, `what_a_service_on_a_broadcast_channel_cannot_read_goes_no_further` |
//! | a remote call that nobody answers | the client's time-out | the failure `{"message":"no answer"}` when its caller is dropped | the client need not wait for its time-out | `a_caller_is_answered_from_anywhere_at_any_time` |
//! | a template such as `/{a}/{b}` | binds meta and service channels, too | binds broadcast channels | the protocol's own messages are no data | `a_template_sees_its_own_channels_and_no_others_below_its_wildcard` |
//! | braces that are no variable, in a template | ordinary characters | refused | nearly always a slip | `what_is_no_template_is_refused` |
//! | what a service's method returns | is delivered to the sender, without an id | says what becomes of the message; replies are sent with `reply`, with the id | a reply is the application's to send | `a_service_gets_parameters_and_typed_data` |
//!
//! # Bounds
//!
//! Both servers leave nearly everything open. Here everything that a client can make grow has a
//! bound ([`Limits`](crate::Limits)).
//!
//! | what | at the bound | test |
//! | --- | --- | --- |
//! | messages in a payload, nesting of its JSON | HTTP 400 | `b178_limits_of_a_payload` |
//! | bytes and segments of a channel's name | `405::channel_invalid`, `403::subscription_invalid` | `names_are_bounded` |
//! | bytes of an `id` | `405::message_id_invalid` | `c25_ids_are_echoed_as_they_came_if_they_are_ids` |
//! | subscriptions of a session | `403:too_many_subscriptions:subscribe_denied` | `subscriptions_of_a_session_are_bounded` |
//! | channels | `403:too_many_channels:create_denied`, `403:too_many_channels:channel_create_denied` | `channels_are_bounded` |
//! | sessions | `503::too_many_sessions`, advice to handshake again after `max_interval` | `sessions_are_bounded_and_the_advice_is_to_come_back` |
//! | open questions, in all and of one session | denied, or deleted, with the reason `too_many_questions` | `open_questions_are_bounded_for_each_session` |
//! | remote calls in progress, in all and of one session | the call fails with `{"message":"too many calls"}` | `calls_in_progress_are_bounded_for_each_session`, `calls_in_progress_are_bounded_in_all_also_those_of_sessions_that_are_gone` |
//! | bytes of a WebSocket's message | closed with 1009 | `a_violation_of_the_frames_ends_the_socket` |
//! | events queued for a session: 10,000 or 1 MiB | the session is removed (default), or the oldest event, the new one, or the oldest of the same channel is dropped; on the Java server a listener decides, and without one there is no bound | `b154_a_full_queue_removes_the_session_unless_it_is_said_otherwise`, `b154_a_queue_is_bounded_in_bytes_too` |
//!
//! # Options
//!
//! Options have their CometD names in Rust's spelling: `maxInterval` is `max_interval`. Both servers
//! look an option up under transport prefixes (`long-polling.json.maxInterval`), and the NodeJS
//! server reads its options whenever it needs them. Here there is one value for all transports, it
//! is checked when the server is made, and what may change later has a method (`set_timing` of a
//! session, `configure` of a channel).
//!
//! # Extensions
//!
//! | topic | Java | NodeJS | here | why | test |
//! | --- | --- | --- | --- | --- | --- |
//! | which are there | those that the application adds | acknowledgements, if the application adds them | acknowledgements, timesync and timestamp act for clients that ask ([`Extensions`](crate::Extensions) turns them off); activity per session; binary data passes as it is | they cost nothing where nobody asks | `extensions_that_are_off_do_nothing`, `only_true_turns_it_on_and_only_where_it_is_offered` |
//! | unacknowledged events | kept without a bound | kept without a bound | count for the queue's bounds | a client that never acknowledges must not fill the memory (CVE-2025-53114) | `a_client_that_never_acknowledges_meets_the_bound_of_its_queue` |
//! | an acknowledgement of a batch that was never sent | clears what is queued | the same | says nothing; what is not acknowledged comes again | what nobody can have received must not be dropped | `a_number_that_was_never_given_or_is_old_says_nothing` |
//! | a connect and a publish in one payload | events go with it | a number without its events, which are then lost | events go with it | | `c45_no_number_is_returned_that_could_lose_an_event` |
//! | connects without an `id` | kept apart by their ids | not resent | like any other | batches are counted, not looked up | `what_was_not_acknowledged_comes_again_and_at_once` |
//! | advice when events are sent again | forced | forced | none, unless it is due | no client needs it | `c43_events_ride_on_connects_only_and_come_again_for_an_old_number` |
//! | an acknowledged batch over WebSocket | a frame for each event, then the reply | - | one text: all of it arrives or nothing | a connection that breaks between them would make the client see events twice | `what_is_acknowledged_together_is_one_text`, `a_socket_that_breaks_at_any_point_costs_nothing` |
//! | `set_meta_connect_deliver_only(false)` for a session with acknowledgements | breaks them | - | has no effect | the connects are what acknowledges | `events_travel_with_connect_replies_only` |
//! | form of `timestamp` | the zone of the server | - | `EEE MMM dd HH:mm:ss zzz yyyy`, always UTC | the same on any machine | `b221_timestamps_are_on_everything_for_those_who_ask` |
//! | who gets timestamps | everybody | - | sessions whose handshake says `ext.timestamp: true` | other sessions share one buffer for each event | the same |
//! | when an inactive session ends | with its next connect after that | - | to the moment; a held connect is answered | | `b221_a_session_whose_client_only_connects_ends` |
//! | an extension that throws | the message goes on | the message goes on, or HTTP 500 | on its way in it is deleted (`404::message_deleted`), on its way out it goes on; reported | what was to be checked was not | `an_extension_that_panics_or_hangs_has_not_let_the_message_in` |
//! | a handshake that an extension or a listener deletes | advice `none` | no advice | advice `none` | clients would try for ever | `b208_b209_what_is_deleted_on_its_way_in_is_answered_with_404` |
//! | a session's extensions and dequeue listeners see an event | when it is queued | when it leaves | when it leaves; again if it is sent again | no application code runs inside a transition | `b155_a_dequeue_hook_may_drop_and_reorder_events` |
//! | what an extension can change of a client's message | everything | everything | `ext`, and the data of a publish | messages are decoded before | `b207_data_ext_and_members_can_be_changed_both_ways` |
//! | events that are delivered while a session begins | by listeners for new sessions | no | by the policy ([`NewSession::deliver`](crate::front::NewSession::deliver)); with `allow_message_delivery_during_handshake` they travel with the handshake's reply | listeners are told after the session was made | `b024_b025_what_a_policy_prepares_may_come_with_the_handshake` |
//! | authorizers below a wildcard that is subscribed to | not asked | - | asked; their denials count, nothing else | who subscribes to `/**` hears what is said in a room that denies him | `a_wildcard_does_not_get_around_a_denial_below_it` |
//! | replies to a connect that failed | carry events | the same | carry none where events are acknowledged | clients take no number from a reply that failed | `the_reply_to_a_connect_that_failed_takes_no_events` |
//! | replies to somebody without a session | go through the server's extensions | the same | the same | | `replies_without_a_session_go_through_the_servers_extensions` |
//! | the last events of a session that has ended | go through its extensions | - | the same | | `the_last_events_of_a_session_go_through_its_extensions` |
//! | authorizers that panic | the message is refused with an error | - | deny | | `an_authorizer_sees_who_wants_what_and_one_that_panics_denies` |
//! | local sessions: attributes, heartbeat | their own; one connect | - | those of the session; none | there is one session, and it cannot be lost | `b081_it_is_never_swept_and_ends_with_its_last_handle` |
//! | local sessions: a handler that is slow | holds up the publisher | - | holds up the other handlers of its session; beyond the queue's bounds the session ends | | `a_slow_handler_is_bounded_by_the_sessions_queue` |
//! | `maxProcessing` | also while a connect is held | - | while the application decides about a message; longer than `timeout` | a held connect has its own end | `b082_max_processing_ends_a_session_whose_message_is_processed_for_too_long` |
//!
//! # Not planned
//!
//! - Listeners that decide what happens at a full queue (`QueueMaxedListener`): that is a setting of
//!   the server, the channel or the session ([`Overflow`](crate::Overflow)), and what was dropped is
//!   told ([`Event::EventsDropped`](crate::Event::EventsDropped)).
//! - Channel initializers: the settings of a wildcard count for the channels below it.
//! - Weak listeners, which do not keep a channel: remove the listener instead.
//! - Annotated services: a template and a function say as much.
