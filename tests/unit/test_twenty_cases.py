"""The twenty cases of the API's specification (its section 10): what each says, and the tests that hold it.

Of a case whose routes are not there yet the list of tests says what it waits for.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
IDENTITY, DISCOVERY, USAGE = (f"integration/test_api_{name}.py" for name in ("identity", "discovery", "usage"))
KEYS, REVOCATION = "integration/test_idempotency.py", "integration/test_revocation.py"
GATE = "integration/test_api_gate.py"

CASES: dict[int, tuple[str, list[str]]] = {
    1: ("FREE sorts or filters by what it does not see: PLAN_REQUIRED, as the order would tell", [
        f"{GATE}::test_every_plan_sees_its_own_of_every_route", "later: the search's sorts and filters"]),
    2: ("an ETag got as SAAS is 200 to FREE", [
        "integration/test_api_conditional.py::test_a_tag_is_of_one_plan_and_one_query_and_one_shape",
        f"{USAGE}::test_what_is_known_already_spends_nothing"]),
    3: ("a contract that was read at 18:00 ends at 18:30:00.000", [
        f"{REVOCATION}::test_a_contract_that_is_known_ends_to_the_millisecond"]),
    4: ("of overlapping contracts the best holds", [
        f"{IDENTITY}::test_of_overlapping_contracts_the_best_holds",
        "unit/test_plans.py::test_the_best_contract_holds_also_where_a_poorer_one_begins_later"]),
    5: ("a logout amid a fill drops the fill", [
        f"{REVOCATION}::test_a_logout_amid_a_fill_drops_the_fill"]),
    6: ("two tabs get one successor; at 11 s the family ends", [
        f"{IDENTITY}::test_used_again_it_gives_the_same_successor_or_ends_the_session"]),
    7: ("one key: 409 while it runs, then its answer; after a rollback it runs", [
        f"{KEYS}::test_while_it_runs_nobody_else_does_and_rolled_back_it_runs_again"]),
    8: ("a key that is made again has no secret", [
        f"{KEYS}::test_what_is_shown_once_is_null_when_it_is_answered_again"]),
    9: ("a table is swapped between pages", [
        "integration/test_api_leaderboard.py::test_a_cursor_does_not_outlive_its_snapshot",
        "later: the search, which goes on and says snapshot_changed"]),
    10: ("byid, a_b, @x and Devanagari are exactly those profiles", [
        f"{DISCOVERY}::test_a_handle_names_exactly_one_profile", "later: /profile/{platform}/byid/{id}"]),
    11: ("who takes a handle over has it, who had it is found by id", [
        f"{DISCOVERY}::test_who_takes_a_handle_over_has_it_and_who_had_it_is_found_by_id"]),
    12: ("stale and limited: 200 as of then; forced: 429; one view", [
        f"{USAGE}::test_a_stale_profile_whose_source_is_limited_is_one_view"]),
    13: ("fifty ask for one unknown profile: one scrape, one view a partner", [
        f"{USAGE}::test_fifty_ask_for_one_unknown_profile"]),
    14: ("one left and ten at once: one gets it", [
        f"{USAGE}::test_one_left_and_ten_at_once", f"{USAGE}::test_one_left_and_ten_at_once_make_one_scrape",
        "later: an empty search costs none"]),
    15: ("a bulk of 500 has 500 verdicts in order", ["later: items of collections"]),
    16: ("what begins like a formula goes out with an apostrophe, and comes in without", [
        "unit/test_sheet.py::test_what_a_spreadsheet_would_run_gets_an_apostrophe_unless_it_is_a_number",
        "unit/test_sheet.py::test_what_went_out_comes_back"]),
    17: ("a share that was revoked is 404 at once", ["later: shares"]),
    18: ("without ClickHouse only its series fail", [
        f"{DISCOVERY}::test_without_clickhouse_only_its_series_fail"]),
    19: ("a client's claims are dropped, a~b:c arrives whole", [
        "integration/test_proxy.py::test_who_asks_is_told_by_us_alone"]),
    20: ("of two last owners who lower each other one succeeds", [
        "integration/test_api_people.py::test_two_last_owners_who_lower_each_other_leave_one"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_case_has_its_tests(case: int) -> None:
    words, held = CASES[case]
    assert held, words
    for each in held:
        if not each.startswith("later: "):
            file, _, name = each.partition("::")
            assert f"def {name}(" in (TESTS / file).read_text(), each


def test_there_are_twenty() -> None:
    assert list(CASES) == list(range(1, 21))
