"""What the reference shows in another way than the source has it.

The section ``Example:`` of a docstring is code: the parser knows ``Examples:`` only. A method of the synchronous client has the
signature of the asynchronous method that its decorator names.
"""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Renames the section before the docstring is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of one object."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)


class SynchronousSignatures(griffe.Extension):
    """Gives a method of the synchronous client the signature of the asynchronous one."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Copy the parameters and the type of the result."""
        for function in pkg["sync.Client"].functions.values():
            for decorator in function.decorators:
                match = re.fullmatch(r"_\w+\(client\.Client\.(\w+)(?:, (\w+))?\)", str(decorator.value))
                if match:
                    asynchronous = pkg["client.Client"].functions[match[1]]
                    function.parameters = asynchronous.parameters
                    function.returns = "Iterator[Update]" if match[2] == "_iterated" else asynchronous.returns
