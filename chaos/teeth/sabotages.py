"""The sabotages: what is damaged, where, and which tests find it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sabotage:
    """A change of one file: what stands there exactly once, and what takes its place."""

    name: str
    file: str
    stands: str
    instead: str
    tests: tuple[str, ...]
    """Those that find it, as narrow as can be."""
    seeds: tuple[int, ...] = ()
    """Seeds of chaos whose faults bear on it. None: chaos does nothing in which it would show."""

    def applied(self, text: str) -> str:
        """Damage the text of the file; ValueError where it no longer fits."""
        if (times := text.count(self.stands)) != 1:
            msg = f"{self.name}: what it replaces stands in {self.file} {times} times"
            raise ValueError(msg)
        return text.replace(self.stands, self.instead)


SABOTAGES = (
    Sabotage(
        "the inbox is not asked",
        "shared/messaging/consumer.py",
        "            if message.name in new:\n                first.append(message)\n"
        "                new.remove(message.name)",
        "            first.append(message)",
        ("tests/messaging/test_consumer.py::test_a_repeat_within_one_poll_and_in_a_later_one_has_no_second_effect",),
        (8, 15, 1),
    ),
    Sabotage(
        "acknowledged before the commit",
        "shared/messaging/consumer.py",
        "        try:\n            await consumer.take(message.raw_message)",
        "        await message.ack()\n        try:\n            await consumer.take(message.raw_message)",
        ("tests/messaging/test_delivery.py::test_a_message_is_acknowledged_after_the_commit_and_never_before",),
        (15, 12, 18),
    ),
    Sabotage(
        "accounts are not locked",
        "shared/database.py",
        "    if modes:\n",
        "    if not modes:\n",
        (
            "tests/test_races.py::test_a_session_that_is_opened_while_its_account_is_cancelled_does_not_stay",
            "tests/test_races.py::test_two_last_receipts_at_the_same_time_settle_the_order",
        ),
        (18, 7, 14),
    ),
    Sabotage(
        "closed accounts are not barred",
        "shared/bus.py",
        "        if not wave[0].outlives_account:",
        "        if not wave:",
        ("tests/notifier/test_handlers.py::test_what_comes_after_the_erasure_brings_nobody_back",),
        (14, 1, 7),
    ),
    Sabotage(
        "the erasure leaves no mark",
        "shared/owner.py",
        "        if due:\n            marks",
        "        if not orders:\n            marks",
        ("tests/notifier/test_handlers.py::test_what_comes_after_the_erasure_brings_nobody_back",),
        (14, 1, 7),
    ),
    Sabotage(
        "an owner says done after the first part",
        "shared/owner.py",
        "            receipts[account_id] = Receipt(due[account_id].order_id, items, remark, erased=erased)",
        "            receipts[account_id] = Receipt(due[account_id].order_id, items, remark)",
        ("tests/device/test_erasing_much.py::test_very_many_go_in_parts_and_the_receipt_counts_all_of_them",),
        (16, 8),
    ),
    Sabotage(
        "who is asked again does not answer again",
        "shared/owner.py",
        "        for order in orders:\n            self._announce(work, order, receipts[order.account_id])",
        "        for order in orders:\n            if order.account_id in due:\n"
        "                self._announce(work, order, receipts[order.account_id])",
        ("tests/device/test_erasing_much.py::test_an_order_repeated_meanwhile_is_answered_only_when_it_is_done",),
        (4, 10),
    ),
    Sabotage(
        "erasure waits behind a dead letter",
        "shared/commands.py",
        (
            "    order_id: UUID\n\n    needs: ClassVar[Needs] = Needs.NOTHING\n"
            "    outlives_account: ClassVar[bool] = True\n    overrides_parked: ClassVar[bool] = True"
        ),
        (
            "    order_id: UUID\n\n    needs: ClassVar[Needs] = Needs.NOTHING\n"
            "    outlives_account: ClassVar[bool] = True"
        ),
        (
            (
                "tests/messaging/test_consumer.py"
                "::test_erasure_never_parks_behind_another_message_and_takes_what_is_parked_with_it"
            ),
        ),
    ),
    Sabotage(
        "nothing waits behind a dead letter",
        "shared/messaging/consumer.py",
        "            elif place in behind and message.command and not message.command.overrides_parked:",
        "            elif not message:",
        (
            (
                "tests/messaging/test_consumer.py"
                "::test_later_messages_of_the_account_in_that_topic_park_behind_and_others_do_not"
            ),
        ),
    ),
    Sabotage(
        "what cannot be read is dropped",
        "shared/messaging/consumer.py",
        "            await dead_letters.park(work.connection, letters)\n",
        "",
        ("tests/messaging/test_consumer.py::test_what_cannot_be_read_is_parked_and_the_rest_of_the_poll_is_handled",),
        (2, 1, 5),
    ),
    Sabotage(
        "what passes by itself is parked",
        "shared/messaging/consumer.py",
        "                if not is_transient(error):\n                    raise",
        "                raise",
        ("tests/messaging/test_consumer.py::test_what_passes_by_itself_is_tried_again_and_never_parked",),
        (6, 12, 19),
    ),
    Sabotage(
        "dead letters are handled newest first",
        "shared/messaging/dead_letters.py",
        "        .order_by(DeadLetter.id)\n        .with_for_update()",
        "        .order_by(DeadLetter.id.desc())\n        .with_for_update()",
        ("tests/messaging/test_consumer.py::test_what_is_redriven_is_told_in_the_order_in_which_it_happened",),
    ),
    Sabotage(
        "the relay forgets what did not arrive",
        "shared/messaging/relay.py",
        "            if not isinstance(result, BaseException)\n            for row_id",
        "            for row_id",
        (
            "tests/messaging/test_relay.py::test_each_accounts_events_arrive_complete_and_in_order_although_batches_fail",
        ),
        (17, 11, 4),
    ),
    Sabotage(
        "the relay sends the newest first",
        "shared/messaging/relay.py",
        "select(Outbox).order_by(Outbox.id)",
        "select(Outbox).order_by(Outbox.id.desc())",
        (
            "tests/messaging/test_relay.py::test_each_accounts_events_arrive_complete_and_in_order_although_batches_fail",
        ),
        (14, 1, 7),
    ),
    Sabotage(
        "the outbox is written after the commit",
        "shared/bus.py",
        "            yield work\n            await outbox.add(connection, work.announced)",
        "            yield work\n        async with self.engine.begin() as connection:\n"
        "            await outbox.add(connection, work.announced)",
        ("tests/messaging/test_relay.py::test_what_cannot_be_announced_has_not_happened",),
        (6, 19, 12, 5, 13),
    ),
    Sabotage(
        "topics are purged to their end",
        "shared/messaging/purge.py",
        "RecordsToDelete(before_offset=before)",
        "RecordsToDelete(before_offset=-1)",
        ("tests/messaging/test_purge.py::test_a_personal_topic_is_emptied_up_to_the_stored_position_and_no_further",),
        (2, 9, 14, 18),
    ),
    Sabotage(
        "nothing is purged",
        "shared/messaging/purge.py",
        "        return mine and self._purged.get(place) != here.next_offset",
        "        return False",
        ("tests/messaging/test_purge.py::test_a_personal_topic_is_emptied_up_to_the_stored_position_and_no_further",),
        (1, 14, 7),
    ),
    Sabotage(
        "the position is not stored",
        "shared/messaging/positions.py",
        "    if ends:\n",
        "    if not ends:\n",
        ("tests/messaging/test_consumer.py::test_what_stands_before_the_stored_position_is_passed_over",),
        (1, 14, 7),
    ),
    Sabotage(
        "a recreated topic is taken for the one before",
        "shared/messaging/positions.py",
        " for place, at in before.items() if at.topic_id == ids[place[0]]}",
        " for place, at in before.items()}",
        ("tests/messaging/test_consumer.py::test_a_recreated_topic_is_read_from_its_start",),
    ),
    Sabotage(
        "the roll call forgets device",
        "services/requests/rollcall.py",
        "    asked = {owner: Due(owner, phase) for owner, phase in owners.items()}",
        '    asked = {owner: Due(owner, phase) for owner, phase in owners.items() if owner != "device"}',
        ("tests/requests/test_rollcall.py::test_nothing_is_settled_while_an_owner_of_the_data_owes",),
        (4, 18, 8),
    ),
    Sabotage(
        "an open order is not repeated",
        "services/requests/handlers/orders.py",
        "        if order.opened_at and owing:",
        "        if not order.opened_at and owing:",
        ("tests/test_every_handler.py::test_a_handler_does_what_it_is_for[requests: Remind]",),
        (4, 10),
    ),
    Sabotage(
        "feedback is nobody's",
        "services/requests/models.py",
        '    __table_args__ = (Index("feedback_account", "account_id", "submitted_at", "id"), rows(OfAccount()))',
        '    __table_args__ = (Index("feedback_account", "account_id", "submitted_at", "id"), rows(OfNobody("")))',
        ("tests/architecture/test_personal_data_is_declared.py::test_nobody_has_left_out_a_word",),
        (14, 1, 7),
    ),
    Sabotage(
        "the last message goes out at the cancellation",
        "services/notifier/consumers.py",
        "            version = event.contact_version\n"
        '            return _message(event, Kind.CANCELLATION_RECEIVED, "references", contact_version=version)',
        "            return _settle(event, event.references)",
        (
            (
                "tests/notifier/test_handlers.py"
                "::test_a_cancelled_account_is_not_erased_here_before_all_others_have_erased"
            ),
        ),
        (1, 14, 16),
    ),
    Sabotage(
        "a last message is queued for who has had it",
        "services/notifier/handlers.py",
        "    due = [command for command in commands if command.account_id not in closed]",
        "    due = list(commands)",
        ("tests/notifier/test_handlers.py::test_asked_again_after_the_erasure_notifier_gives_its_receipt_again",),
        (10, 4, 14),
    ),
    Sabotage(
        "an older address takes the place of a newer one",
        "services/notifier/domain.py",
        "command.version > known.version",
        "command.version < known.version",
        ("tests/notifier/test_domain.py::test_the_newest_contact_counts_in_any_order",),
        (14, 1, 7),
    ),
    Sabotage(
        "who owes is not declined",
        "services/account/domain/cancellations.py",
        "for reason, count in counted.items() if count)",
        "for reason, count in counted.items() if count < 0)",
        ("tests/account/test_holds.py::test_an_unpaid_instalment_declines_in_the_app_and_erases_nothing",),
        (14, 1, 7),
    ),
    Sabotage(
        "what is owed is erased with the account",
        "services/account/handlers/cancellations.py",
        "    holds = {order.account_id: held_now for state, order in gone if (held_now := held(work, state))}",
        "    holds: dict = {}",
        ("tests/account/test_holds.py::test_a_request_keeps_the_instalment_alone_and_says_so_in_the_receipt",),
    ),
    Sabotage(
        "errors are told with their values",
        "shared/errors.py",
        "    name = type(error).__name__\n",
        "    name = f'{type(error).__name__}: {error}'\n",
        ("tests/shared/test_errors.py::test_an_exception_is_told_by_type_and_place",),
    ),
    Sabotage(
        "the mailer logs to whom it writes",
        "services/notifier/mailer.py",
        "message.id, message.kind, outcome)",
        "message.id, message.address, outcome)",
        ("tests/notifier/test_mailer.py::test_nothing_of_a_person_stands_in_the_log",),
        (1, 13),
    ),
    Sabotage(
        "an order ends without a certificate",
        "services/requests/handlers/orders.py",
        "        await orders.save_certificates(work.connection, documents)\n",
        "",
        ("tests/account/test_holds.py::test_the_supplement_reaches_the_certificate",),
        (1, 13),
    ),
)
