"""Every handler of every service: twice, late, reordered, and killed before each step. A new one needs a case."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib import import_module
from itertools import permutations
from typing import Any, TypeVar

import pytest
from sqlalchemy import event as engine_event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.account.commands import (
    AddInstallment,
    AgreeToPolicy,
    CancelAccount,
    ChangeAvatar,
    ChangeEmail,
    ChangePassword,
    ChangeProfile,
    ClearAvatar,
    ConfirmRegistration,
    ContinueCancellation,
    DropHeldPayments,
    DropSecondFactor,
    EnableSecondFactor,
    EndSession,
    EndSessions,
    GiveConsent,
    GoOnWithoutPackage,
    KeepAccount,
    MatchSender,
    OpenSession,
    PrepareSecondFactor,
    ProveSecondFactor,
    RefreshSession,
    Register,
    RenewRecoveryCodes,
    RequestEmailChange,
    RequestPasswordReset,
    ResetPassword,
    ScheduleCancellation,
    SettleInstallment,
    SpendTry,
    StartCancellation,
    TellOwner,
    TellPossible,
    UndoEmailChange,
    WithdrawConsent,
)
from services.device.commands import BindDevice, EraseBeyond, EraseReadings, RecordReading, RenameDevice, UnbindDevice
from services.notifier.commands import Outcome as Delivery
from services.notifier.commands import QueueMessage, ReadNotices, RecordDelivery, RememberContact, SettleContact
from services.requests.codes import code_of
from services.requests.commands import (
    Accept,
    AcceptFee,
    AcceptInPart,
    AddFeedback,
    AdmitOwner,
    AnswerQuestion,
    AskContact,
    AskPerson,
    AskPreview,
    Attachment,
    Chunk,
    Classify,
    Cost,
    DeleteFeedback,
    EndPackage,
    Extend,
    FinishPackage,
    JudgeEvidence,
    KeepChunk,
    KnowSender,
    OnRequest,
    OpenOrder,
    OpenPackage,
    PassTime,
    Pause,
    QuoteFee,
    RecordEvidence,
    Refuse,
    ReleaseOwner,
    Remind,
    RemindOfCorrection,
    RemindOfExport,
    RemindOfPreview,
    Resume,
    SendPackageCode,
    ShowCode,
    Submit,
    TakeConsent,
    TakeCorrected,
    TakeCount,
    TakeExportEnd,
    TakeExportPart,
    TakeMail,
    TakePayment,
    TakeReceipt,
)
from services.requests.sealing import Wrapping
from shared.changes import Correct
from shared.commands import (
    Command,
    ContinueCategories,
    ContinueErasure,
    ContinueExport,
    CountData,
    EraseAccount,
    EraseCategories,
    ExportAccount,
    KeepToConsent,
)
from shared.contracts.account import (
    AccountCancelled,
    CancellationDeclined,
    ContactChanged,
    Decline,
    DeclineReason,
    Origin,
    SenderMatched,
    SessionEnded,
)
from shared.contracts.app import FeedbackSubmitted, ReadingReported
from shared.contracts.base import Event
from shared.contracts.billing import InstallmentOwed, InstallmentPaid, RequestFeePaid
from shared.contracts.receipts import (
    CorrectedField,
    DataCorrected,
    DataCounted,
    DataErased,
    ExportCompleted,
    ExportPart,
    FieldOutcome,
    Item,
    Outcome,
    OwnerAnnounced,
    OwnerLeft,
    Phase,
)
from shared.contracts.requests import (
    AccountCorrectionOrdered,
    Channel,
    DeviceCorrectionOrdered,
    ErasureOrdered,
    ErasureSettled,
    ExportOrdered,
    Ground,
    Kind,
    PackageEnded,
    PreviewOrdered,
    SenderAsked,
    WithdrawalOrdered,
)
from shared.security import digest
from shared.sessions import ForgetSession
from tests.builders import ANNA, NEXT_MONTH, NOON, SOON, fact, named, record_of
from tests.commands import (
    CODE,
    KNOW_THE_PRODUCT,
    KNOWN,
    PACKAGE_KEY,
    RECOVERY_CODE,
    REFERENCE,
    SERIAL,
    TOKEN,
    bound,
    cancellation_continued,
    cancellation_started,
    cancelled_by_request,
    cancelled_in_app,
    erased,
    logged_in,
    registered,
    with_second_factor,
)
from tests.consents import given, withdrawn
from tests.rooms import SERVICES, OpenRoom, Room

Arrival = Command | Event | str
"""What comes in: a command by the HTTP door, a fact by its topic, or a statement that sets the scene."""

WHO, BINDING, OWED = ANNA.account_id, named("binding"), named("owed")
NOT_OF_THE_ACCOUNT = ("inbox", "positions")
ABOUT_NO_PERSON = (AdmitOwner, ReleaseOwner, TakeMail)


@dataclass(frozen=True)
class Case:
    """One handler at work."""

    service: str
    handler: type[Command]
    given: tuple[Arrival, ...]
    when: Command | Event
    counts_each: bool = False
    """Deliberately has its effect every time: it counts tries, or repeats what is asked for."""
    others: tuple[Event, ...] = ()
    """Facts of other topics: whatever the order in which all of them come, the end is the same."""

    def __str__(self) -> str:
        return f"{self.service}: {self.handler.__name__}"


PRODUCT = KNOW_THE_PRODUCT.replace(":serial", f"'{KNOWN['serial']}'").replace(":pairing", f"'{KNOWN['pairing']}'")
BOUND = f"INSERT INTO bindings (id, account_id, serial, bound_at) VALUES ('{BINDING}', '{WHO}', '{SERIAL}', '{NOON}')"
UNREADABLE_PAYMENT = (
    'INSERT INTO dead_letters (topic, partition, "offset", taken_at, account_id, reason, error, body)'
    f" VALUES ('billing.installments.v1', 0, 0, '{NOON}', '{WHO}', 'unreadable', '', 'no instalment')"
)
REGISTER, CONFIRM = registered(ANNA)
ACCOUNT = (REGISTER, CONFIRM)
PREPARE, ENABLE = with_second_factor(ANNA)
WITH_FACTOR = (*ACCOUNT, PREPARE, ENABLE)
NEW_PASSWORD = ChangePassword(account_id=WHO, password_hash="another hash", session_id=named("session", "anna"))
FORGOTTEN = RequestPasswordReset(
    account_id=WHO, reset_id=named("reset"), code=CODE, code_digest="right", expires_at=SOON
)
RESET = ResetPassword(
    account_id=WHO,
    reset_id=named("reset"),
    code_digest="right",
    second_factor_code=None,
    password_hash="another hash",
)
NEW_EMAIL = RequestEmailChange(
    account_id=WHO,
    change_id=named("change"),
    email="anni@mail.example",
    code=CODE,
    code_digest="right",
    expires_at=SOON,
)
EMAIL_SHOWN = ChangeEmail(
    account_id=WHO,
    change_id=named("change"),
    code_digest="right",
    undo_token="undo",
    undo_digest="undo",
    undo_until=NEXT_MONTH,
)
STARTED = (*ACCOUNT, cancellation_started(ANNA))
CONTINUED = (*STARTED, cancellation_continued(ANNA))
SCHEDULE = ScheduleCancellation(account_id=WHO, reference=REFERENCE, token_digest=TOKEN, due_at=NEXT_MONTH)
SPEND = SpendTry(account_id=WHO, reference=REFERENCE, token_digest=TOKEN)
OWES = fact(InstallmentOwed, ANNA, installment_id=OWED, lapses_at=NEXT_MONTH)
PAYS = fact(InstallmentPaid, ANNA, installment_id=OWED)
CANCELLED = fact(
    AccountCancelled, ANNA, order_id=ANNA.order_id, origin=Origin.APP, references=("ref",), contact_version=1
)
ORDERED_AGAIN = fact(ErasureOrdered, ANNA, order_id=ANNA.order_id, owners=SERVICES, contact_version=1)
SETTLED = fact(ErasureSettled, ANNA, order_id=ANNA.order_id, references=("ref",), contact_version=1)
CONTACT = fact(ContactChanged, ANNA, version=1, email=ANNA.email, language="de")
DECLINED = fact(CancellationDeclined, ANNA, declines=(Decline(reason=DeclineReason.UNPAID_INSTALLMENTS, count=1),))
WRITTEN = fact(FeedbackSubmitted, ANNA, text="Too loud at night")
MEASURED = fact(ReadingReported, ANNA, binding_id=BINDING, measured_at=NOON, values={"pm25": 3.5})
LOGGED_OUT = fact(SessionEnded, ANNA, session_id=named("session", "anna"))
SCOPES = ("collection:device", "collection:requests", "use:notifier")
WITHDRAWN = withdrawn(ANNA, *SCOPES, reference="r" * 43)
GIVEN_AGAIN = given(ANNA, *SCOPES, at=SOON)


def receipt_of(owner: str, categories: str) -> DataErased:
    item = Item(category=categories, outcome=Outcome.ERASED, count=2)
    return fact(DataErased, ANNA, source=owner, order_id=ANNA.order_id, items=(item,))


BY_ACCOUNT, BY_DEVICE, BY_NOTIFIER = (
    receipt_of("account", "email"),
    receipt_of("device", "device-data"),
    receipt_of("notifier", "contact"),
)


# Access

WISH = named("access", "anna")
PUBLIC_KEY = {"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}
EXPORT = fact(ExportOrdered, ANNA, request_id=WISH, owners=SERVICES, public_key=PUBLIC_KEY)
GO_ON = ContinueExport(account_id=WHO, request_id=WISH)
BEGUN = (
    "INSERT INTO exports (request_id, account_id, public_key, ordered_at)"
    f" VALUES ('{WISH}', '{WHO}', '{json.dumps(PUBLIC_KEY)}', '{NOON}')"
)
SENT = fact(ExportPart, ANNA, source="device", request_id=WISH, number=1, sealed="encrypted")
ALL_SENT = fact(ExportCompleted, ANNA, source="device", request_id=WISH, parts=1, counts={"device-data": 1})
ACCESS_ASKED = (
    "INSERT INTO requests VALUES"
    f" ('{WISH}', '{WHO}', 'access', 'app', 'accepted', 'policy', '{{}}', '{NOON}', '{NEXT_MONTH}', '{NEXT_MONTH}',"
    f" NULL, NULL, false, false, 0, 0, '{NOON}', '{NOON}', false, false, NULL, NULL, NULL, 0, '')"
)
OPENED = (
    "INSERT INTO packages (request_id, account_id, public_key, private_key, ordered_at, asked_at, answer_by, ready)"
    f" VALUES ('{WISH}', '{WHO}', '{json.dumps(PUBLIC_KEY)}', 'wrapped', '{NOON}', '{NOON}', '{SOON}', false)"
)
WAITING = (
    ACCESS_ASKED,
    OPENED,
    f"INSERT INTO export_dues (request_id, owner, account_id) VALUES ('{WISH}', 'device', '{WHO}')",
)
LAST_CHUNK = Chunk(named("attempt"), 1, b"encrypted")
FINISH = FinishPackage(
    account_id=WHO,
    request_id=WISH,
    chunk=LAST_CHUNK,
    content_key=Wrapping([base64.urlsafe_b64decode(PACKAGE_KEY)]).wrap(bytes(32)),
    size=9,
    link="a link",
    missing=(),
)
MADE = (*WAITING, SENT, ALL_SENT, FINISH)
SEND_CODE = SendPackageCode(account_id=WHO, request_id=WISH, code="40291735")


def about_an_owner(kind: type[OwnerAnnounced | OwnerLeft], **fields: object) -> Event:
    values = {"id": named(kind), "source": "diary", "occurred_at": NOON, "correlation_id": named("wish")}
    return kind.model_validate({**values, "owner": "diary", **fields})


ANNOUNCED = about_an_owner(OwnerAnnounced, phase=Phase.DATA, categories=("diary",))
LEFT = about_an_owner(OwnerLeft)

REQUEST = named("request")
REASONS = {"ground": Ground.REPETITIVE, "facts": "asked last week", "items": ("feedback",), "remedy": "look again"}
R = TypeVar("R", bound=OnRequest)


def on_request(command: type[R], **fields: Any) -> R:  # noqa: ANN401 - of the command
    return command(account_id=WHO, request_id=REQUEST, **fields)


def wished(kind: Kind | None, *, known: bool, scope: dict[str, Any] | None = None) -> Submit:
    channel = Channel.APP if known else Channel.MAIL
    said = {"kind": kind, "channel": channel, "known": known, "scope": scope or {}, "text": "Please."}
    return on_request(Submit, reference="a reference of the wish", **said)


WISHED = wished(Kind.DELETION, known=True, scope={"categories": ["feedback"]})
CORRECTED_BY_HAND = wished(Kind.CORRECTION, known=True)
"""A correction that says in words what is wrong: somebody has to read it."""
MAILED, UNREAD = wished(Kind.DELETION, known=False, scope={"everything": True}), wished(None, known=False)
SHOWN = on_request(ShowCode, code=code_of("the internal token of the tests, long enough", REQUEST, WHO))
EVIDENCE = on_request(RecordEvidence, evidence_id=named("deed"), authority="power-of-attorney", note="A deed.")
JUDGED = on_request(JudgeEvidence, evidence_id=named("deed"), accepted=True)
QUESTION = on_request(AskPerson, question="Which device?")
SECOND_ACCESS = (
    Submit(
        account_id=WHO,
        request_id=named("first"),
        reference="a reference of the first",
        kind=Kind.CORRECTION,
        channel=Channel.APP,
        known=True,
        scope={},
    ),
    "UPDATE requests SET kind = 'access', state = 'fulfilled', ended_at = received_at, how = 'fulfilled'",
    wished(Kind.ACCESS, known=True),
)
QUOTED = on_request(QuoteFee, currency="EUR", costs=(Cost("an hour of work", Decimal("40.00")),))
FEE_PAID = fact(RequestFeePaid, ANNA, request_id=REQUEST)
# Deletion and correction

PART_ORDERED = fact(
    ErasureOrdered,
    ANNA,
    order_id=REQUEST,
    owners=SERVICES,
    contact_version=0,
    categories=("nickname", "device-data", "feedback", "messages"),
)
PREVIEW_ORDERED = fact(PreviewOrdered, ANNA, request_id=REQUEST, owners=SERVICES)
COUNTED = fact(
    DataCounted,
    ANNA,
    source="device",
    request_id=REQUEST,
    items=(Item(category="device-data", outcome=Outcome.ERASED, count=2),),
)
CORRECTED = fact(
    DataCorrected,
    ANNA,
    source="account",
    request_id=REQUEST,
    fields=(CorrectedField(field="nickname", outcome=FieldOutcome.CORRECTED),),
)
CHOSEN = {"categories": ["feedback"]}


def asks(kind: Kind, scope: dict[str, Any], values: dict[str, str | None] | None = None) -> Submit:
    told = {"reference": "a reference of a request", "channel": Channel.APP, "known": True}
    return on_request(Submit, **told, kind=kind, scope=scope, values=values)


DELETION = asks(Kind.DELETION, CHOSEN)
CORRECTION = asks(Kind.CORRECTION, {"fields": ["nickname"]}, {"nickname": "Anni"})

DELETION_AND_CORRECTION = (
    *(Case(service, EraseCategories, (), PART_ORDERED) for service in SERVICES),
    *(
        Case(service, CountData, given, PREVIEW_ORDERED)
        for service, given in (("account", ACCOUNT), ("device", ()), ("requests", ()), ("notifier", ()))
    ),
    Case(
        "device",
        ContinueCategories,
        (PRODUCT, BOUND, PART_ORDERED, "UPDATE category_marks SET erased = false"),
        ContinueCategories(account_id=WHO, order_id=REQUEST),
    ),
    Case(
        "account",
        Correct,
        ACCOUNT,
        fact(AccountCorrectionOrdered, ANNA, request_id=REQUEST, values={"nickname": "A"}),
    ),
    Case(
        "device",
        Correct,
        (PRODUCT, BOUND),
        fact(DeviceCorrectionOrdered, ANNA, request_id=REQUEST, values={str(BINDING): "Bedroom"}),
    ),
    Case("requests", AskPreview, (DELETION,), on_request(AskPreview), counts_each=True),
    Case("requests", TakeCount, (DELETION,), COUNTED),
    Case("requests", RemindOfPreview, (DELETION,), on_request(RemindOfPreview), counts_each=True),
    Case("requests", TakeCorrected, (CORRECTION,), CORRECTED),
    Case("requests", RemindOfCorrection, (CORRECTION,), on_request(RemindOfCorrection), counts_each=True),
)

# By mail

WRITTEN_BY_MAIL = TakeMail(
    account_id=WHO,
    request_id=REQUEST,
    reference="a reference of the mail",
    sender=ANNA.email,
    kind=Kind.DELETION,
    language="en",
    text="Please.",
    attachments=(Attachment("papers.pdf", "application/pdf", b"%PDF"),),
    message_id="<one@mail.example>",
)
ADDRESS_ASKED = fact(SenderAsked, ANNA, account_id=REQUEST, request_id=REQUEST, address=ANNA.email)
SENDER_KNOWN = fact(SenderMatched, ANNA, request_id=REQUEST, matched=True, region="DE-BE", sender="a digest")
BY_MAIL = (
    Case("account", MatchSender, ACCOUNT, ADDRESS_ASKED),
    Case("requests", TakeMail, (), WRITTEN_BY_MAIL),
    Case("requests", KnowSender, (WRITTEN_BY_MAIL,), SENDER_KNOWN),
    Case(
        "requests",
        AskContact,
        (WRITTEN_BY_MAIL, SENDER_KNOWN),
        on_request(AskContact, address="ben@mail.example"),
        counts_each=True,
    ),
)

CASES: tuple[Case, ...] = (
    Case("account", Register, (), REGISTER),
    Case("account", ConfirmRegistration, (REGISTER,), CONFIRM),
    Case("account", OpenSession, ACCOUNT, logged_in(ANNA)),
    Case(
        "account",
        RefreshSession,
        (*ACCOUNT, logged_in(ANNA)),
        RefreshSession(account_id=WHO, refresh_digest=digest("refresh", "anna"), next_digest=digest("next")),
        counts_each=True,  # who shows a used token may have stolen it: the session ends
    ),
    Case(
        "account",
        EndSession,
        (*ACCOUNT, logged_in(ANNA)),
        EndSession(account_id=WHO, session_id=named("session", "anna")),
    ),
    Case("account", EndSessions, (*ACCOUNT, logged_in(ANNA)), EndSessions(account_id=WHO)),
    Case("account", TellOwner, ACCOUNT, TellOwner(account_id=WHO), counts_each=True),
    Case("account", ChangeProfile, ACCOUNT, ChangeProfile(account_id=WHO, changes={"language": "en"})),
    Case("account", ChangeAvatar, ACCOUNT, ChangeAvatar(account_id=WHO, avatar=b"a picture", media_type="image/png")),
    Case(
        "account",
        ClearAvatar,
        (*ACCOUNT, ChangeAvatar(account_id=WHO, avatar=b"a picture", media_type="image/png")),
        ClearAvatar(account_id=WHO),
    ),
    Case("account", WithdrawConsent, ACCOUNT, WithdrawConsent(account_id=WHO, scopes=SCOPES)),
    Case(
        "account",
        WithdrawConsent,
        ACCOUNT,
        fact(WithdrawalOrdered, ANNA, request_id=named("request"), scopes=(), whole_policy=True),
    ),
    Case(
        "account",
        GiveConsent,
        (*ACCOUNT, WithdrawConsent(account_id=WHO, scopes=SCOPES)),
        GiveConsent(account_id=WHO, scopes=SCOPES),
    ),
    Case("account", AgreeToPolicy, ACCOUNT, AgreeToPolicy(account_id=WHO, policy_version="2026-06")),
    Case("account", PrepareSecondFactor, ACCOUNT, PREPARE),
    Case("account", EnableSecondFactor, (*ACCOUNT, PREPARE), ENABLE),
    Case(
        "account",
        ProveSecondFactor,
        WITH_FACTOR,
        ProveSecondFactor(account_id=WHO, code=RECOVERY_CODE),
        counts_each=True,
    ),
    Case("account", RenewRecoveryCodes, WITH_FACTOR, RenewRecoveryCodes(account_id=WHO, recovery_digests=("new",))),
    Case("account", DropSecondFactor, WITH_FACTOR, DropSecondFactor(account_id=WHO)),
    Case("account", ChangePassword, (*ACCOUNT, logged_in(ANNA)), NEW_PASSWORD, counts_each=True),
    Case("account", RequestPasswordReset, ACCOUNT, FORGOTTEN),
    Case("account", ResetPassword, (*ACCOUNT, logged_in(ANNA), FORGOTTEN), RESET),
    Case("account", RequestEmailChange, ACCOUNT, NEW_EMAIL),
    Case("account", ChangeEmail, (*ACCOUNT, NEW_EMAIL), EMAIL_SHOWN),
    Case(
        "account",
        UndoEmailChange,
        (*ACCOUNT, logged_in(ANNA), NEW_EMAIL, EMAIL_SHOWN),
        UndoEmailChange(account_id=WHO, token_digest="undo"),
    ),
    Case("account", AddInstallment, ACCOUNT, OWES),
    Case("account", SettleInstallment, (*ACCOUNT, OWES, cancellation_started(ANNA)), PAYS),
    Case(
        "account",
        DropHeldPayments,
        (*ACCOUNT, UNREADABLE_PAYMENT, cancelled_by_request(ANNA)),
        DropHeldPayments(account_id=WHO),
    ),
    Case("account", TellPossible, (*ACCOUNT, "UPDATE accounts SET declined = true"), TellPossible(account_id=WHO)),
    Case("account", StartCancellation, ACCOUNT, cancellation_started(ANNA)),
    Case("account", ContinueCancellation, STARTED, cancellation_continued(ANNA)),
    Case("account", SpendTry, CONTINUED, SPEND, counts_each=True),
    Case("account", ScheduleCancellation, CONTINUED, SCHEDULE),
    Case(
        "account",
        GoOnWithoutPackage,
        (*ACCOUNT, replace(cancellation_started(ANNA), package_first=True), cancellation_continued(ANNA), SCHEDULE),
        fact(PackageEnded, ANNA, request_id=named("package"), arrived=True),
    ),
    Case("account", KeepAccount, (*CONTINUED, SCHEDULE), KeepAccount(account_id=WHO, reference=REFERENCE)),
    Case("account", CancelAccount, (*CONTINUED, logged_in(ANNA)), cancelled_in_app(ANNA)),
    Case("account", EraseAccount, (*ACCOUNT, cancelled_by_request(ANNA)), ORDERED_AGAIN),
    Case("device", BindDevice, (PRODUCT,), bound(ANNA)),
    Case("device", UnbindDevice, (PRODUCT, BOUND, MEASURED), UnbindDevice(account_id=WHO, binding_id=BINDING)),
    Case("device", RecordReading, (PRODUCT, BOUND), MEASURED),
    Case(
        "device",
        RenameDevice,
        (PRODUCT, BOUND),
        RenameDevice(account_id=WHO, binding_id=BINDING, name="Bedroom"),
    ),
    Case(
        "device",
        EraseReadings,
        (PRODUCT, BOUND, MEASURED, f"INSERT INTO unbound VALUES ('{WHO}', '{BINDING}')"),
        EraseReadings(account_id=WHO, binding_id=BINDING),
    ),
    Case(
        "device",
        ContinueErasure,
        (PRODUCT, BOUND, CANCELLED, "UPDATE closed_accounts SET erased = false"),
        ContinueErasure(account_id=WHO),
    ),
    Case("device", KeepToConsent, (PRODUCT, BOUND, MEASURED), WITHDRAWN, others=(GIVEN_AGAIN,)),
    Case(
        "device",
        EraseBeyond,
        (PRODUCT, BOUND, WITHDRAWN, f"INSERT INTO beyond_consent VALUES ('{WHO}')"),
        EraseBeyond(account_id=WHO),
    ),
    Case("device", ForgetSession, (), LOGGED_OUT),
    Case("device", EraseAccount, (PRODUCT, BOUND, MEASURED), CANCELLED),
    Case("requests", OpenOrder, (WRITTEN,), CANCELLED, others=(BY_ACCOUNT, BY_DEVICE, BY_NOTIFIER)),
    Case("requests", TakeReceipt, (), BY_DEVICE, others=(BY_ACCOUNT, CANCELLED)),
    Case(
        "requests",
        Remind,
        (CANCELLED,),
        Remind(account_id=WHO, order_id=ANNA.order_id),
        counts_each=True,
    ),
    Case("requests", AdmitOwner, (), ANNOUNCED),
    Case("requests", ReleaseOwner, (ANNOUNCED,), LEFT),
    Case("requests", AddFeedback, (), WRITTEN),
    Case(
        "requests",
        DeleteFeedback,
        (WRITTEN,),
        DeleteFeedback(account_id=WHO, feedback_id=WRITTEN.id),
    ),
    Case("requests", TakeConsent, (WRITTEN,), WITHDRAWN, others=(GIVEN_AGAIN,)),
    *BY_MAIL,
    Case("requests", ForgetSession, (), LOGGED_OUT),
    Case("requests", Submit, (), WISHED),
    Case("requests", ShowCode, (MAILED,), SHOWN),
    Case("requests", RecordEvidence, (MAILED,), EVIDENCE),
    Case("requests", JudgeEvidence, (MAILED, EVIDENCE), JUDGED),
    Case("requests", Classify, (UNREAD,), on_request(Classify, kind=Kind.ACCESS, scope={}), counts_each=True),
    Case("requests", Accept, (CORRECTED_BY_HAND,), on_request(Accept)),
    Case(
        "requests",
        AcceptInPart,
        (CORRECTED_BY_HAND,),
        on_request(AcceptInPart, kind=Kind.CORRECTION, scope={}, **REASONS),
    ),
    Case("requests", Refuse, (WISHED,), on_request(Refuse, **REASONS)),
    Case("requests", Extend, (WISHED,), on_request(Extend, reason="many devices")),
    Case("requests", AskPerson, (WISHED,), QUESTION),
    Case(
        "requests",
        AnswerQuestion,
        (WISHED, QUESTION),
        on_request(AnswerQuestion, answer_id=named("answer"), text="The newer one."),
    ),
    Case("requests", Pause, (WISHED,), on_request(Pause, until=NEXT_MONTH)),
    Case("requests", Resume, (WISHED, on_request(Pause, until=NEXT_MONTH)), on_request(Resume)),
    Case("requests", QuoteFee, SECOND_ACCESS, QUOTED),
    Case("requests", AcceptFee, (*SECOND_ACCESS, QUOTED), on_request(AcceptFee)),
    Case("requests", TakePayment, (*SECOND_ACCESS, QUOTED), FEE_PAID),
    Case("requests", PassTime, (MAILED, "UPDATE requests SET ends_at = received_at"), on_request(PassTime)),
    Case("notifier", ReadNotices, (CONTACT, DECLINED), ReadNotices(account_id=WHO)),
    Case("notifier", KeepToConsent, (CONTACT,), WITHDRAWN, others=(GIVEN_AGAIN,)),
    Case("notifier", ForgetSession, (), LOGGED_OUT),
    Case("requests", EraseAccount, (WRITTEN,), ORDERED_AGAIN),
    Case("notifier", RememberContact, (), CONTACT, others=(DECLINED, SETTLED)),
    Case("notifier", QueueMessage, (CONTACT,), DECLINED),
    Case("notifier", SettleContact, (CONTACT,), SETTLED),
    Case(
        "notifier",
        RecordDelivery,
        (CONTACT, SETTLED),
        RecordDelivery(account_id=WHO, message_id=1, outcome=Delivery.DELIVERED),
    ),
    *DELETION_AND_CORRECTION,
)

CASES += (
    *(
        Case(service, handler, scene, when, counts_each=counts_each)
        for service, scene in (
            ("account", ACCOUNT),
            ("device", (PRODUCT, BOUND, MEASURED)),
            ("requests", (WRITTEN,)),
            ("notifier", (CONTACT,)),
        )
        for handler, scene, when, counts_each in (
            (ExportAccount, scene, EXPORT, False),
            (ContinueExport, (*scene, BEGUN), GO_ON, False),
        )
    ),
    Case("requests", TakeExportPart, WAITING, SENT, others=(ALL_SENT,)),
    Case("requests", TakeExportEnd, WAITING, ALL_SENT),
    Case("requests", RemindOfExport, WAITING, RemindOfExport(account_id=WHO, request_id=WISH), counts_each=True),
    Case("requests", KeepChunk, WAITING, KeepChunk(account_id=WHO, request_id=WISH, chunk=LAST_CHUNK)),
    Case("requests", FinishPackage, (*WAITING, SENT, ALL_SENT), FINISH),
    Case("requests", SendPackageCode, MADE, SEND_CODE, counts_each=True),
    Case("requests", OpenPackage, (*MADE, SEND_CODE), OpenPackage(account_id=WHO, request_id=WISH, code="40291735")),
    Case("requests", EndPackage, MADE, EndPackage(account_id=WHO, request_id=WISH, arrived=True)),
)

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_handler_of_every_service_has_a_case() -> None:
    registered_handlers = {
        (service, command)
        for service in SERVICES
        for command in import_module(f"services.{service}.handlers").handlers
    }

    assert {(case.service, case.handler) for case in CASES} == registered_handlers


async def arrive(room: Room, *arrivals: Arrival) -> None:
    for each in arrivals:
        match each:
            case Command():
                await room.does(each)
            case Event():
                await room.hears(each)
            case str():
                await room.run(each)


async def with_scene_set(room: OpenRoom, case: Case) -> Room:
    ready = await room(case.service)
    await arrive(ready, *case.given)
    return ready


async def after(room: OpenRoom, case: Case) -> Room:
    done = await with_scene_set(room, case)
    await arrive(done, case.when)
    return done


async def close_account(room: Room) -> None:
    """Have the account erased here, with the mark that bars latecomers."""
    async with room.bus.work() as work:
        await work.lock([erased(ANNA)])
        await room.owner.erase(work, [erased(ANNA)])


@every_case
async def test_a_handler_does_what_it_is_for(room: OpenRoom, case: Case) -> None:
    before = await (await with_scene_set(room, case)).state(*NOT_OF_THE_ACCOUNT)

    assert await (await after(room, case)).state(*NOT_OF_THE_ACCOUNT) != before


@every_case
async def test_a_handler_that_runs_twice_has_its_effect_once(room: OpenRoom, case: Case) -> None:
    once = await after(room, case)
    plain = await once.state()

    # A repeat by HTTP would need the same random secrets: where it finds itself, it may also fail.
    with suppress(IntegrityError):
        await arrive(once, case.when)

    assert (await once.state() == plain) is not case.counts_each


@pytest.mark.parametrize("case", [case for case in CASES if isinstance(case.when, Event)], ids=str)
async def test_a_fact_that_is_published_twice_has_its_effect_once(room: OpenRoom, case: Case) -> None:
    assert isinstance(case.when, Event)
    once = await after(room, case)
    plain = await once.state("positions")

    await once.reads(case.when.topic, record_of(case.when, offset=1_000_000))

    assert await once.state("positions") == plain


@every_case
async def test_a_handler_that_runs_after_its_account_was_closed_leaves_nothing_of_it(
    room: OpenRoom, case: Case
) -> None:
    late = await with_scene_set(room, case)
    await close_account(late)
    closed = await late.state(*NOT_OF_THE_ACCOUNT)

    await arrive(late, case.when)

    assert await late.held_of(WHO) == {}
    if case.handler not in ABOUT_NO_PERSON and not case.handler.outlives_account:
        assert await late.state(*NOT_OF_THE_ACCOUNT) == closed


@pytest.mark.parametrize("case", [case for case in CASES if case.others], ids=str)
async def test_a_handler_comes_to_the_same_end_in_every_order_of_topics(room: OpenRoom, case: Case) -> None:
    ends = []
    for order in permutations((case.when, *case.others)):
        shuffled = await with_scene_set(room, case)
        await arrive(shuffled, *order)
        ends.append(await in_any_order(shuffled))

    assert ends == [ends[0]] * len(ends)


async def in_any_order(room: Room) -> dict[str, object]:
    """Show all tables; what was announced as a set, since it tells of what came when."""
    found = await room.state("outbox")
    return {**found, "announced": sorted(await room.types_announced())}


class Killed(BaseException):
    """The process is gone, as far as the transaction can tell."""


@contextmanager
def killed_before_step(engine: AsyncEngine, number: int) -> Iterator[None]:
    """Kill whatever runs before its n-th statement; its commit counts as one."""
    steps = iter(range(1, number + 1))

    def step(*_: object) -> None:
        if next(steps, None) == number:
            raise Killed

    names = ("before_cursor_execute", "commit")
    for name in names:
        engine_event.listen(engine.sync_engine, name, step)
    try:
        yield
    finally:
        for name in names:
            engine_event.remove(engine.sync_engine, name, step)


@every_case
async def test_a_handler_that_is_killed_before_any_of_its_steps_leaves_no_trace_and_can_run_again(
    room: OpenRoom, case: Case
) -> None:
    plain = await (await after(room, case)).state()
    crashed = await with_scene_set(room, case)
    before = await crashed.state()

    steps = await kill_before_each_step(crashed, case.when, before)

    assert steps >= 3  # at least a lock or an inbox, a change, and the commit
    assert await crashed.state() == plain


async def kill_before_each_step(room: Room, when: Arrival, before: object) -> int:
    """Kill it before its first step, its second, and so on until it comes through; returns how many there were."""
    for number in range(1, 100):
        try:
            with killed_before_step(room.engine, number):
                await arrive(room, when)
        except Killed:
            assert await room.state() == before, f"step {number} left a trace"
        else:
            return number - 1
    pytest.fail("it never comes through")
