"""Import contracts that say what is allowed, for import-linter, which knows only what is forbidden or layered."""

from typing import Any

from grimp import ImportGraph
from importlinter.application import output
from importlinter.domain import fields
from importlinter.domain.contract import Contract, ContractCheck


class AllowedImportsContract(Contract):
    """`source_modules` and what is below them import themselves and `allowed_modules`, and nothing else.

    A name stands for all that is below it, too; with `!` behind it, for itself alone.
    """

    type_name = "allowed_imports"

    source_modules: Any = fields.ListField(subfield=fields.StringField())
    allowed_modules: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - the library's signature
        allowed = [*self.source_modules, *self.allowed_modules]
        wrong = [
            (importer, imported)
            for importer in sorted(graph.modules)
            if _is_below(importer, self.source_modules)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not _is_below(imported, allowed)
        ]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["wrong"]:
            output.print_error(f"{importer} imports {imported}")


class OneHomeContract(Contract):
    """`library` is imported by its `homes` and by nothing else."""

    type_name = "one_home"

    library: Any = fields.StringField()
    homes: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - as above
        if self.library not in graph.modules:  # a contract about nothing is a mistake
            return ContractCheck(kept=False, metadata={"wrong": []})
        importers = graph.find_modules_that_directly_import(self.library)
        wrong = sorted(one for one in importers if not _is_below(one, self.homes))
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer in check.metadata["wrong"]:
            output.print_error(
                f"{importer} imports {self.library}, whose home is {', '.join(self.homes)}"
            )
        if not check.metadata["wrong"]:
            output.print_error(f"nothing imports {self.library}")


def _is_below(module: str, packages: list[str]) -> bool:
    return any(
        module == package.removesuffix("!") or module.startswith(f"{package}.")
        for package in packages
    )
