"""The attacks on what waits for people, and where each is tried. A test that is renamed or lost fails here."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent.parent
ATTACKS: dict[str, tuple[str, ...]] = {
    "replaying an approval": (
        "e2e/test_held_sql.py::test_a_delete_is_held_and_once_approved_runs_once",
        "engines/test_engines_held.py::test_a_write_is_previewed_held_and_once_approved_runs_once",
        "approvals/test_held_calls.py::test_a_client_of_the_modern_revision_comes_again_with_a_sealed_state",
        "approvals/test_held_calls.py::test_many_retries_of_an_approved_call_run_it_once",
        "approvals/test_held_calls.py::test_nobody_uses_the_approval_of_another_session_or_for_something_else",
    ),
    "approving one's own request": (
        "approvals/test_held_calls.py::test_who_asks_does_not_approve_and_a_program_neither",
        "console/test_console_approvals.py::test_approval_is_of_what_was_shown_and_never_by_the_person_behind_it",
        "decide/test_approvals_machine.py::test_who_asks_does_not_approve_however_the_name_is_written",
        "gateway/test_elevations.py::test_nobody_grants_it_who_asks_or_is_not_asked",
        "gateway/test_promotion.py::test_with_four_eyes_nobody_promotes_what_they_have_changed",
    ),
    "changing arguments after approval": (
        "e2e/test_held_sql.py::test_another_parameter_statement_or_session_is_another_request",
        "e2e/test_held_sql.py::test_it_is_run_under_the_settings_of_who_asked",
        "approvals/test_held_calls.py::test_nobody_uses_the_approval_of_another_session_or_for_something_else",
        "gateway/test_promotion.py::test_promoted_is_exactly_what_was_looked_at",
    ),
    "widening by a modification": (
        "approvals/test_held_calls.py::test_a_change_cannot_widen_what_the_session_may",
        "e2e/test_held_sql.py::test_a_change_cannot_widen_a_statement",
    ),
    "forged webhook": (
        "gateway/test_notices.py::test_webhook_is_verified_by_the_standards_own_library_with_each_of_its_keys",
        "gateway/test_notices.py::test_signature_is_the_librarys",
    ),
    "flooding a reviewer": (
        "approvals/test_held_calls.py::test_a_session_that_waits_is_not_flooded_and_its_requests_are_bounded",
        "e2e/test_queue.py::test_a_session_has_a_bounded_number_of_them",
        "gateway/test_elevations.py::test_the_same_request_is_the_same_approval_and_people_are_not_flooded",
    ),
    "a preview with side effects: triggers": (
        "e2e/test_held_sql.py::test_a_preview_that_reaches_outside_is_switched_off",
    ),
    "a preview with side effects: sequences": (
        "e2e/test_held_sql.py::test_a_preview_takes_numbers_of_a_sequence_but_for_preview_off",
    ),
    "a preview with side effects: locks": (
        "e2e/test_queue.py::test_a_row_that_the_agent_itself_has_locked_is_not_waited_for",
        "e2e/test_held_sql.py::test_a_statement_waits_and_no_transaction_is_held_open_meanwhile",
    ),
    "data changed between preview and run": (
        "e2e/test_held_sql.py::test_data_that_changed_since_the_preview_is_left_alone_and_held_anew",
        "e2e/test_held_sql.py::test_data_that_changed_is_not_written_over_but_held_anew",
        "engines/test_engines_held.py::test_rows_that_changed_meanwhile_are_not_written_but_held_anew",
    ),
    "CSRF": ("console/test_console_attacks.py::test_forged_request_changes_nothing",),
    "stored script in any field an agent controls": (
        "console/test_console_attacks.py::test_what_an_agent_writes_is_text",
        "console/test_console_approvals.py::test_reviewer_sees_the_difference_and_denies_with_a_reason",
        "console/test_console_elevations.py::test_an_elevation_is_listed_as_it_stands_and_a_reviewer_ends_it",
        "console/test_console_browser.py::test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone",
        "approvals/test_held_calls.py::test_what_an_agent_writes_does_nothing_to_a_terminal",
        "gateway/test_notices.py::test_whatever_is_written_comes_out_as_one_plain_line",
    ),
    "session fixation": (
        "console/test_console_login.py::test_cookie_planted_before_a_login_is_worth_nothing_after_it",
    ),
    "open redirect": ("console/test_console_login.py::test_login_leads_to_pages_of_the_console_only",),
    "time-of-check races": (
        "approvals/test_held_calls.py::test_of_two_verdicts_at_once_one_counts",
        "e2e/test_held_sql.py::test_two_connections_run_it_once",
        "gateway/test_gateway_approvals.py::test_expiry_wins_over_whatever_comes_at_its_moment",
        "gateway/test_gateway_approvals.py::test_revocation_wins_over_an_approval",
        "gateway/test_gateway_approvals.py::test_two_gateways_over_one_store_make_one_verdict",
        "gateway/test_elevations.py::test_intent_decided_before_the_end_has_no_effect_after_it",
        "e2e/test_held_sql.py::test_after_a_crash_nobody_runs_again_what_was_begun_and_what_was_not_is_run_once",
    ),
    "what was revoked runs all the same": (
        "approvals/test_held_calls.py::test_a_revoked_session_and_a_suspended_agent_take_with_them_what_would_have_run",
        "e2e/test_held_sql.py::test_a_revoked_session_takes_with_it_what_the_gateway_would_have_run",
    ),
    "reading around a gate": (
        "e2e/test_held_sql.py::test_held_reads_have_no_way_around",
        "e2e/test_held_sql.py::test_a_restricted_field_is_not_read_beside_something_else",
    ),
}


@cache
def _names(file: str) -> frozenset[str]:
    tree = ast.parse((_TESTS / file).read_text())
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_is_tried(attack: str) -> None:
    lost = [each for each in ATTACKS[attack] if each.split("::")[1] not in _names(each.split("::")[0])]
    assert lost == []
