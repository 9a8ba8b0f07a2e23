"""`personsearch calibrate`: fits confidence to a site's own verdicts."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from personsearch.cli.output import JsonFlag, show, show_table
from personsearch.errors import UserError

if TYPE_CHECKING:
    from personsearch.evaluation.site_calibration import Fit
    from personsearch.installation.site_calibration import SiteFit


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.command()(calibrate)


def calibrate(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    revert: Annotated[
        bool, typer.Option("--revert", help="Go back to the model's own calibration, from its validation data.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Fit the live model's confidence to the verdicts that people gave here, and use it from then on.

    Reads confirmed and rejected candidates from the audit log. Shows how confidence agreed with them before, and how it
    would agree on searches that the fit had not seen; where that is no better, nothing changes. The search service
    follows within seconds. Another model never uses this calibration.
    """
    from personsearch.bundle import CALIBRATION
    from personsearch.installation.audit.opening import open_audit
    from personsearch.installation.platforms import open_registry, open_store
    from personsearch.installation.settings import Settings
    from personsearch.installation.site_calibration import (
        collect_verdicts,
        fit_site,
        remove_site_calibration,
        write_site_calibration,
    )
    from personsearch.search.calibration import read_calibration
    from personsearch.search.live import live_model

    settings = Settings()
    bundle = live_model(open_store(settings), open_registry(settings)).bundle
    log = open_audit(settings)
    if revert:
        had = remove_site_calibration(settings.home, bundle.fingerprint)
        if had:
            _record(log, {"fingerprint": bundle.fingerprint, "change": "reverted"})
        return show({"fingerprint": bundle.fingerprint, "reverted": had}, as_json=as_json)
    own = read_calibration(bundle.path(CALIBRATION))
    verdicts = collect_verdicts(log.judged_searches(), log.records("verdict"), bundle.fingerprint, own)
    fit = fit_site(own, verdicts, fingerprint=bundle.fingerprint)
    if not as_json:
        _show_fit(fit)
    written = "" if dry_run or not fit.is_better else str(write_site_calibration(settings.home, fit.calibration))
    if written:
        values = fit.calibration.model_dump(mode="json", exclude={"format", "reference"})
        _record(log, {"change": "fitted", **values})
    return show(_told(fit, written, as_json=as_json), as_json=as_json)


def _record(log: Any, values: dict[str, Any]) -> None:
    """Whoever reads the log later must know from when on "reliable" meant something else."""
    from personsearch.installation.audit.log import AuditUnavailable
    from personsearch.installation.audited_search import local_user

    try:
        log.append("calibration", {"who": local_user(), **values})
    except AuditUnavailable as error:
        raise UserError(f"the change cannot be recorded in the audit log: {error}") from error


def _told(fit: "SiteFit", written: str, *, as_json: bool) -> dict[str, Any]:
    from dataclasses import asdict

    values = fit.calibration.model_dump(mode="json", include={"fingerprint", "searches", "confirmed", "rejected"})
    if as_json:
        fits = {"before": asdict(fit.before) if fit.before else None, "after": asdict(fit.after)}
        values |= {**fits, "curve": fit.calibration.curve.model_dump(), "better": fit.is_better}
    elif not fit.is_better:
        values["note"] = "the model's own calibration agrees as well with these verdicts: nothing changed"
    return values | {"written": written or None}


def _show_fit(fit: "SiteFit") -> None:
    fits = {"before": fit.before, "after, on unseen searches": fit.after}
    shown = {name: one for name, one in fits.items() if one is not None}
    columns = [_column(one, fit) for one in shown.values()]
    labels = ["log loss", "Brier score", "right first answers called reliable", "wrong first answers called reliable"]
    rows = [[label, *cells] for label, *cells in zip(labels, *columns, strict=True)]
    show_table(["", *shown], rows, title="Agreement with the verdicts", numeric=True)
    for name, one in shown.items():
        bins = [[f"{each.stated:.0%}", f"{each.confirmed:.0%}", each.candidates] for each in one.bins]
        typer.echo()
        show_table(["stated confidence", "confirmed", "candidates"], bins, title=f"Confidence {name}", numeric=True)
    typer.echo()


def _column(one: "Fit", fit: "SiteFit") -> list[str]:
    reliable = (f"{one.right_reliable} of {fit.first_confirmed}", f"{one.wrong_reliable} of {fit.first_rejected}")
    return [f"{one.log_loss:.3f}", f"{one.brier:.3f}", *reliable]
