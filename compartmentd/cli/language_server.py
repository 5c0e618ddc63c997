"""Speaks the Language Server Protocol with an editor, by pygls; what to say is in `language`.

Positions of the protocol count UTF-16 units unless editor and server agree otherwise; ours count code points.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from lsprotocol import types
from pygls import uris
from pygls.lsp.server import LanguageServer

from compartmentd import __version__
from compartmentd.cli.check import find_problems
from compartmentd.cli.editor_files import EditedFile, EditorFiles, Overlay
from compartmentd.language.complete import Item, ItemKind, list_completions, mark_position
from compartmentd.language.hover import find_hover
from compartmentd.language.names import Location
from compartmentd.language.outline import Position, Range
from compartmentd.language.references import find_definitions, find_reference, find_references
from compartmentd.language.symbols import Symbol, SymbolKind, list_symbols
from compartmentd.problems import Problem, Severity
from compartmentd.util.tasks import BackgroundTasks

PAUSE = 0.2
"""Seconds without a change after which a configuration is checked."""

MOST_ITEMS = 200
"""Items of one answer: the editor asks again when more is typed, and nobody reads on."""

WATCHED = ("**/*.yaml", "**/*.yml", "**/*.json", "**/*.pem")
"""The files that a configuration may name; of other ones a change is noticed at the next edit."""

TRIGGERS = (" ", "{", "[", '"', "-")
"""Characters after which an editor asks for completion by itself."""

_SEVERITIES: Mapping[Severity, types.DiagnosticSeverity] = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}

_ITEM_KINDS: Mapping[ItemKind, types.CompletionItemKind] = {
    "key": types.CompletionItemKind.Property,
    "word": types.CompletionItemKind.Keyword,
    "value": types.CompletionItemKind.Value,
    "rule": types.CompletionItemKind.Reference,
    "room": types.CompletionItemKind.Class,
    "issuer": types.CompletionItemKind.Module,
    "param": types.CompletionItemKind.Variable,
}

_SYMBOL_KINDS: Mapping[SymbolKind, types.SymbolKind] = {
    "section": types.SymbolKind.Module,
    "namespace": types.SymbolKind.Namespace,
    "room": types.SymbolKind.Class,
    "rule": types.SymbolKind.Function,
    "issuer": types.SymbolKind.Key,
}


class LanguageService:
    """One editor's server. `main` is the main file of files that are included, where it cannot be found."""

    def __init__(self, main: str | None = None) -> None:
        self.server = LanguageServer("compartmentd", __version__)
        self.files = EditorFiles(main)
        self.tasks = BackgroundTasks(self._report)
        self.checking = asyncio.Lock()
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._told: dict[str, set[str]] = defaultdict(set)
        self._register()

    def run(self) -> None:
        """Serve stdin and stdout until the editor ends it."""
        self.server.start_io()

    def _register(self) -> None:
        handlers: Mapping[str, Callable[..., object]] = {
            types.TEXT_DOCUMENT_DID_OPEN: self.follow,
            types.TEXT_DOCUMENT_DID_CHANGE: self.follow,
            types.TEXT_DOCUMENT_DID_SAVE: self.follow,
            types.TEXT_DOCUMENT_DID_CLOSE: self.follow,
            types.INITIALIZED: self.watch_files,
            types.WORKSPACE_DID_CHANGE_WATCHED_FILES: self.check_again,
            types.TEXT_DOCUMENT_COMPLETION: self.complete,
            types.TEXT_DOCUMENT_HOVER: self.hover,
            types.TEXT_DOCUMENT_DEFINITION: self.find_definition,
            types.TEXT_DOCUMENT_REFERENCES: self.find_references,
            types.TEXT_DOCUMENT_DOCUMENT_SYMBOL: self.list_symbols,
        }
        options = {
            types.TEXT_DOCUMENT_COMPLETION: types.CompletionOptions(trigger_characters=list(TRIGGERS)),
        }
        for name, handler in handlers.items():
            # pygls sets attributes of a handler, which a bound method does not let it do.
            self.server.feature(name, options.get(name))(partial(handler))

    # --- files and positions --------------------------------------------------------------------------------

    def _build_overlay(self) -> Overlay:
        documents = self.server.workspace.text_documents.values()
        return Overlay(
            {path: each.source for each in documents if (path := _find_path(each.uri)) is not None}
        )

    def _open(self, uri: str) -> EditedFile | None:
        path = _find_path(uri)
        return None if path is None else self.files.open(path, self._build_overlay())

    def _read_position(self, lines: Sequence[str], position: types.Position) -> Position:
        found = self.server.workspace.position_codec.position_from_client_units(lines, position)
        return Position(found.line, found.character)

    def _write_range(self, lines: Sequence[str], range_: Range) -> types.Range:
        start, end = (types.Position(line=each.line, character=each.column) for each in range_)
        return self.server.workspace.position_codec.range_to_client_units(
            lines, types.Range(start=start, end=end)
        )

    def _write_location(self, file: EditedFile, location: Location) -> types.Location:
        range_ = self._write_range(file.names.lines[location.file], location.range)
        return types.Location(uri=_build_uri(location.file), range=range_)

    # --- questions ------------------------------------------------------------------------------------------

    def complete(self, params: types.CompletionParams) -> types.CompletionList | None:
        """Offer what may be written at a position; of very much the first that begins with what is written."""
        overlay, path = self._build_overlay(), _find_path(params.text_document.uri)
        text = None if path is None else overlay.texts.get(path)
        if path is None or text is None:
            return None
        lines = text.split("\n")
        position = self._read_position(lines, params.position)
        file = self.files.open(path, Overlay({**overlay.texts, path: mark_position(text, position)}))
        if file is None:
            return None
        items = list_completions(path, position, file.names, included=file.included)
        # The editor filters a complete list by itself, by rules of its own.
        cut = len(items) > MOST_ITEMS
        fitting = [item for item in items if not cut or _fits(item, lines[position.line])]
        written = [self._write_item(item, lines, place) for place, item in enumerate(fitting[:MOST_ITEMS])]
        return types.CompletionList(is_incomplete=cut, items=written)

    def _write_item(self, item: Item, lines: Sequence[str], place: int) -> types.CompletionItem:
        snippet = bool(item.snippet) and self._takes_snippets()
        edit = types.TextEdit(
            range=self._write_range(lines, item.range), new_text=item.snippet if snippet else item.insert
        )
        return types.CompletionItem(
            label=item.label,
            kind=_ITEM_KINDS[item.kind],
            detail=item.detail or None,
            documentation=_write_markdown(item.documentation) if item.documentation else None,
            filter_text=item.label,
            sort_text=f"{place:05}",
            text_edit=edit,
            insert_text_format=types.InsertTextFormat.Snippet
            if snippet
            else types.InsertTextFormat.PlainText,
        )

    def _takes_snippets(self) -> bool:
        document = self.server.client_capabilities.text_document
        item = (
            None if document is None or document.completion is None else document.completion.completion_item
        )
        return bool(item is not None and item.snippet_support)

    def hover(self, params: types.HoverParams) -> types.Hover | None:
        """Say what stands at a position."""
        file = self._open(params.text_document.uri)
        if file is None:
            return None
        position = self._read_position(file.names.lines[file.path], params.position)
        found = find_hover(file.root, position, file.names, included=file.included)
        if found is None:
            return None
        range_ = self._write_range(file.names.lines[file.path], found.range)
        return types.Hover(contents=_write_markdown(found.text), range=range_)

    def find_definition(self, params: types.DefinitionParams) -> list[types.Location] | None:
        """Find where the name at a position is declared."""
        return self._find_locations(params.text_document.uri, params.position, find_definitions)

    def find_references(self, params: types.ReferenceParams) -> list[types.Location] | None:
        """Find where the name at a position is declared and used."""
        return self._find_locations(params.text_document.uri, params.position, find_references)

    def _find_locations(
        self, uri: str, position: types.Position, find: Callable[..., Iterable[Location]]
    ) -> list[types.Location] | None:
        file = self._open(uri)
        if file is None:
            return None
        reference = find_reference(file.root, self._read_position(file.names.lines[file.path], position))
        if reference is None:
            return None
        return [self._write_location(file, location) for location in find(reference, file.path, file.names)]

    def list_symbols(self, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol] | None:
        """List what a file declares."""
        file = self._open(params.text_document.uri)
        if file is None:
            return None
        lines = file.names.lines[file.path]
        return [self._write_symbol(symbol, lines) for symbol in list_symbols(file.root)]

    def _write_symbol(self, symbol: Symbol, lines: Sequence[str]) -> types.DocumentSymbol:
        return types.DocumentSymbol(
            name=symbol.name,
            kind=_SYMBOL_KINDS[symbol.kind],
            range=self._write_range(lines, symbol.range),
            selection_range=self._write_range(lines, symbol.key_range),
            children=[self._write_symbol(child, lines) for child in symbol.children],
        )

    # --- problems -------------------------------------------------------------------------------------------

    def follow(
        self,
        params: types.DidOpenTextDocumentParams
        | types.DidChangeTextDocumentParams
        | types.DidSaveTextDocumentParams
        | types.DidCloseTextDocumentParams,
    ) -> None:
        """Check the configurations that a changed file may belong to, once nothing changes for a moment."""
        path = _find_path(params.text_document.uri)
        if path is not None:
            self._wait_for_pause(path)

    def watch_files(self, params: types.InitializedParams) -> None:  # noqa: ARG002 - the protocol's signature
        """Ask the editor, where it can, to tell of files that change on the disk: includes, schemas, keys."""
        workspace = self.server.client_capabilities.workspace
        watching = None if workspace is None else workspace.did_change_watched_files
        if watching is None or not watching.dynamic_registration:
            return
        options = types.DidChangeWatchedFilesRegistrationOptions(
            watchers=[types.FileSystemWatcher(glob_pattern=pattern) for pattern in WATCHED]
        )
        method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        registration = types.Registration(id="files", method=method, register_options=options)
        self.server.client_register_capability(types.RegistrationParams(registrations=[registration]))

    def check_again(self, params: types.DidChangeWatchedFilesParams) -> None:  # noqa: ARG002 - any file may count
        """Check every configuration of which a file was opened, since something on the disk has changed."""
        for main in list(self._told):
            self._wait_for_pause(main)

    def _wait_for_pause(self, path: str) -> None:
        if (waiting := self._waiting.pop(path, None)) is not None:
            waiting.cancel()
        self._waiting[path] = asyncio.get_running_loop().call_later(PAUSE, self._start, path)

    def _start(self, path: str) -> None:
        self._waiting.pop(path, None)
        main = self.files.find_main(path, self._build_overlay())
        # A file that has stopped to belong to a configuration is still one of whose problems were told.
        for each in {told for told, files in self._told.items() if path in files} | (
            {main} if main else set()
        ):
            self.tasks.start(self._check(each))

    async def _check(self, main: str) -> None:
        async with self.checking:
            overlay = self._build_overlay()
            # Beside the loop, which answers questions meanwhile.
            problems = await asyncio.to_thread(find_problems, main, overlay)
        by_file: dict[str, list[Problem]] = {path: [] for path in (*self._told[main], main)}
        file = self.files.open(main, overlay)
        for path in () if file is None else file.names.outlines:
            by_file.setdefault(path, [])
        for problem in problems:
            by_file.setdefault(posixpath.normpath(problem.span.file), []).append(problem)
        for path, found in by_file.items():
            self._publish(path, found, overlay)
        self._told[main] = {path for path, found in by_file.items() if found} | {main}

    def _publish(self, path: str, problems: Sequence[Problem], overlay: Overlay) -> None:
        try:
            lines = overlay.read(path).decode("utf-8", "replace").split("\n") if problems else []
        except OSError:
            lines = []
        self.server.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(
                uri=_build_uri(path),
                diagnostics=[self._write_problem(problem, lines) for problem in problems],
            )
        )

    def _write_problem(self, problem: Problem, lines: Sequence[str]) -> types.Diagnostic:
        span = problem.span
        start, end = (
            Position(span.line - 1, span.column - 1),
            Position(span.end_line - 1, span.end_column - 1),
        )
        return types.Diagnostic(
            range=self._write_range(lines, Range(start, end)),
            message=f"{problem.message}\n{problem.help}" if problem.help else problem.message,
            severity=_SEVERITIES[problem.severity],
            code=problem.code,
            source="compartmentd",
        )

    def _report(self, error: BaseException) -> None:
        message = f"the check failed, please report it: {type(error).__name__}: {error}"
        self.server.window_log_message(types.LogMessageParams(type=types.MessageType.Error, message=message))


def _fits(item: Item, line: str) -> bool:
    """Return whether an item begins with what is written of it, in any case."""
    written = line[item.range.start.column : item.range.end.column]
    return item.label.lower().startswith(written.lower().strip("\"'{}"))


def _find_path(uri: str) -> str | None:
    path = uris.to_fs_path(uri)
    return None if path is None or not uri.startswith("file:") else posixpath.normpath(path)


def _build_uri(path: str) -> str:
    uri = uris.from_fs_path(path)
    return uri if uri is not None else path


def _write_markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(kind=types.MarkupKind.Markdown, value=text)
