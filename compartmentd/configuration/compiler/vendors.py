"""Finds usual mistakes in entries of well-known identity providers, and checks `tenants` of Entra."""

from __future__ import annotations

from compartmentd.configuration.compiler.implausible import check_entry
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.document.node import Node
from compartmentd.tokens.entry import TENANT
from compartmentd.tokens.presets import NO_PRESET, Preset, find_preset


def check_vendor(node: Node, report: Report) -> None:
    """Warn about usual mistakes in `issuer` and `audience`; a preset or the host tells the vendor."""
    issuer, name = node.get("issuer"), node.get("preset")
    if issuer is None or not check_entry(node, report):
        return
    preset = find_preset(None if name is None else name.data, issuer.data)
    if preset is None:
        return
    mistake = preset.find_issuer_mistake(issuer.data)
    if mistake is not None:
        report.warning(issuer.span, "issuer.implausible", f"`{issuer.data}` {mistake.message}", mistake.help)
    elif node.get("audience_claim") is None:
        _check_audience(node, issuer.data, preset, report)


def _check_audience(node: Node, issuer: str, preset: Preset, report: Report) -> None:
    audience = node.get("audience")
    if audience is None:
        return
    for item in (audience,) if isinstance(audience.data, str) else audience.items:
        mistake = preset.find_audience_mistake(item.data, issuer)
        if mistake is not None:
            report.warning(
                item.span, "audience.implausible", f"`{item.data}` {mistake.message}", mistake.help
            )


def check_tenants(node: Node, preset: Preset, report: Report) -> bool:
    """Return whether `tenants` and its placeholder in the issuer are both there or both not; report it if not."""
    issuer, tenants = node.get("issuer"), node.get("tenants")
    if preset is NO_PRESET and may_contain(node, "preset", "issuer"):
        return False
    if issuer is None or (tenants is None and may_contain(node, "tenants", "issuer")):
        return False
    placed = TENANT in issuer.data
    if placed and not preset.tenants:
        message = f"`{TENANT}` stands for a tenant of Entra ID, and this entry is of no such issuer"
        report.error(issuer.span, "issuer.tenants", message, "write `preset: entra`")
    elif placed and tenants is None:
        message = f"`{TENANT}` needs a list of the tenants that it stands for"
        help_ = "write `tenants` with the id of each, as tokens have it in `tid`"
        report.error(issuer.span, "issuer.tenants", message, help_)
    elif tenants is not None and not placed:
        message = f"`tenants` need an `issuer` with `{TENANT}` in it"
        help_ = f"write `https://login.microsoftonline.com/{TENANT}/v2.0`, or leave `tenants` out"
        report.error(tenants.span, "issuer.tenants", message, help_)
    else:
        return True
    return False
