"""`insula flags`: what flags there are, what they come to for somebody, and changes of them."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from insula.cli.options import Config, DryRun, Json
from insula.cli.output import FAILED, explained, print_json, say, show
from insula.flags.editing import REMOVED
from insula.flags.errors import FlagError, FlagsUnavailable
from insula.flags.explaining import explained as explain_flag
from insula.flags.flag import Flag
from insula.flags.flags import Flags
from insula.kernel.clock import SystemClock
from insula.kernel.errors import ConfigurationError
from insula.rules.errors import did_you_mean
from insula.runtime.configuration import FlagSettings, load
from insula.runtime.flagging import change_flag, history_of, read_flags

flags = typer.Typer(
    no_args_is_help=True,
    help="Feature flags: list, show, set, kill, explain. Example: insula flags list --source flags.toml",
)

Source = Annotated[
    str | None,
    typer.Option(help="A file, a URL, or a database of flags. Default: `source` in \\[flags] of insula.toml."),
]
Key = Annotated[str, typer.Argument(help="The flag, as `list` prints it.")]
Who = Annotated[str | None, typer.Option(help="Who changes it, for the audit. Default: whoever is logged in.")]
_EXPIRED = "expired"


@flags.command("list")
@explained
def list_flags(source: Source = None, config: Config = None, as_json: Json = False) -> None:
    """List flags with their state.

    Example: insula flags list --source flags.toml
    """
    found, today = read_flags(_settings(source, config)), SystemClock().now().date()
    rows = [
        (key, _state_of(flag, expired=flag.is_expired(today)), flag.default_variant, _rollout(flag), flag.owner,
         flag.expires)
        for key, flag in found.flags.items()
    ]  # fmt: skip
    columns = ("flag", "state", "default", "rollout", "owner", "expires")
    show(f"{found.source.name}, version {found.flags.version}", columns, rows, as_json=as_json, whole="flag")


@flags.command("show")
@explained
def show_flag(key: Key, source: Source = None, config: Config = None, as_json: Json = False) -> None:
    """Show how a flag is written, and in a database who changed it.

    Example: insula flags show new-checkout --json
    """
    settings = _settings(source, config)
    found = read_flags(settings)
    flag = _flag(found, key)
    history = history_of(settings, key)
    if as_json:
        print_json({"flag": key, "definition": flag, "history": history})
        return
    print_json(flag)
    if history:
        columns = ("at", "who", "before", "after")
        rows = [(each.at.isoformat(timespec="seconds"), each.who, each.before, each.after) for each in history]
        show("Changes", columns, rows, as_json=False)


@flags.command("set")
@explained
def set_flag(
    key: Key,
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="NAME=VALUE, like rollout.on=20 or owner=orders; NAME= takes it away."),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Write a flag that is not there yet.")] = False,
    source: Source = None, config: Config = None, who: Who = None, as_json: Json = False, dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Change what is written of a flag: all that is given, or nothing where the flag would be none afterwards.

    Example: insula flags set new-checkout rollout.on=20 owner=orders

    Example: insula flags set old-checkout --new owner=orders expires=2027-03-01
    """
    changes = dict(_setting(text, "rollout.on=20") for text in settings or ())
    if not changes and not new:
        raise ConfigurationError(f"{key}: say what to change, like rollout.on=20; or --new, to write a flag")
    _change(key, changes, _settings(source, config), who, new=new, as_json=as_json, dry_run=dry_run)


@flags.command("kill")
@explained
def kill(
    key: Key,
    undo: Annotated[bool, typer.Option("--undo", help="Let it live again.")] = False,
    source: Source = None, config: Config = None, who: Who = None, as_json: Json = False, dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Turn a flag off for everybody at once, whatever else is written of it. Exit code 1 if it has no variant for that.

    Example: insula flags kill new-checkout
    """
    changes = {"killed": REMOVED if undo else True}
    where = _settings(source, config)
    _change(key, changes, where, who, new=False, as_json=as_json, dry_run=dry_run)
    if undo:
        return
    flag = read_flags(where).flags[key]
    variant = flag.off_variant
    value = "the code's default" if variant is None else f"{variant} = {_json(flag.variants[variant])}"
    if not flag.has_off:
        say(
            f"{key}: everybody {'would get' if dry_run else 'gets'} {value}, which is no off; "
            f"name the variant that is: insula flags set {key} off=VARIANT",
            stderr=True,
        )
        raise SystemExit(FAILED)
    if not as_json:
        say(f"{key}: everybody {'would get' if dry_run else 'gets'} {value}, as soon as each process has looked")


@flags.command("explain")
@explained
def explain(
    user: Annotated[str, typer.Argument(help="Whose buckets and allow-lists count.")],
    about: Annotated[
        list[str] | None, typer.Option("--with", help="What targeting may ask for, like country=DE.")
    ] = None,
    flag: Annotated[str | None, typer.Option(help="This flag only. Default: all.")] = None,
    source: Source = None, config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Say what flags come to for a user, and why. Exit code 1 if one cannot be told.

    Values of --with are JSON, or else texts: zip=12345 is a number, and 'zip="12345"' a text.

    Example: insula flags explain ann --with country=DE --flag new-checkout
    """
    found, now = read_flags(_settings(source, config)), SystemClock().now()
    context: dict[str, Any] = {}
    for name, value in (_setting(text, "country=DE") for text in about or ()):
        context[name] = None if value is REMOVED else value
    if flag is not None:
        _flag(found, flag)
    keys = list(found.flags) if flag is None else [flag]
    told = [explain_flag(found, key, user, context, now) for key in keys]
    columns = ("flag", "value", "variant", "reason", "because")
    rows = [
        (each.details.key, each.details.value if as_json else _json(each.details.value), each.details.variant,
         each.details.reason.value, each.because)
        for each in told
    ]  # fmt: skip
    show(f"Flags of {user}", columns, rows, as_json=as_json, whole="flag")
    if any(each.details.code for each in told):
        raise SystemExit(FAILED)


def _settings(source: str | None, config: Path | None) -> FlagSettings:
    settings = load(config).flags
    return settings if source is None else msgspec.structs.replace(settings, source=source)


def _flag(found: Flags, key: str) -> Flag:
    flag = found.flags.get(key)
    if flag is None:
        say(f"{found.source.name} has no flag {key}{did_you_mean(key, found.flags)}", stderr=True)
        raise SystemExit(FAILED)
    return flag


def _change(
    key: str,
    changes: dict[str, Any],
    settings: FlagSettings,
    who: str | None,
    *,
    new: bool,
    as_json: bool,
    dry_run: bool,
) -> None:
    try:
        changed = change_flag(settings, key, changes, who or _logged_in(), new=new, dry_run=dry_run)
    except FlagsUnavailable:
        raise
    except FlagError as error:
        say(str(error), stderr=True)
        raise SystemExit(FAILED) from None
    shown = {name: None if value is REMOVED else value for name, value in changes.items()}
    if as_json:
        print_json({"flag": key, "changes": shown, "changed": changed, "dry_run": dry_run})
        return
    done = [
        f"{name} is not there" if value is REMOVED else f"{name} = {_json(value)}" for name, value in changes.items()
    ]
    what = ", ".join(done) or "a flag with nothing of its own"
    if not changed:
        say(f"{key}: nothing changes: {what} already")
    else:
        say(f"{key}: {'would be' if dry_run else 'is now'} written: {what}")


def _logged_in() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise ConfigurationError("nobody is logged in; say who changes the flag with --who") from None


def _setting(text: str, example: str) -> tuple[str, Any]:
    """NAME=VALUE, whose value is JSON or else a text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError(f"{text}: write NAME=VALUE, like {example}")
    if not value:
        return name, REMOVED
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _state_of(flag: Flag, *, expired: bool) -> str:
    states = [
        name
        for name, holds in (
            ("killed", flag.killed), ("disabled", flag.disabled), ("targeted", bool(flag.targeting)),
            ("scheduled", flag.since is not None or flag.until is not None), (_EXPIRED, expired),
        )
        if holds
    ]  # fmt: skip
    return ", ".join(states)


def _rollout(flag: Flag) -> str:
    return ", ".join(f"{variant} {parts / 1000:g} %" for variant, parts in flag.shares.items())
