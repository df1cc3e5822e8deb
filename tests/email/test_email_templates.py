"""Templates: what they may hold, what may fill them, and what of them is accepted. No sockets."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.templates import (
    TemplateFaultError,
    definition_of,
    own_links,
    rendered,
    template_fault,
    templates_in,
    typed,
)
from bailiwick.model.email import Template, Variable
from bailiwick.policy.email import locked_send
from bailiwick.policy.email_templates import read_templates
from bailiwick.policy.problem import Report

VARIABLES = {
    "name": Variable("string", 20),
    "note": Variable("text", 100),
    "lines": Variable("strings", 20, 3),
    "count": Variable("integer", 200),
    "more": Variable("string", 20, optional=True),
}
VALUES: dict[str, object] = {"name": "Ann", "note": "a\nb", "lines": ["x", "y"], "count": 3}


def template(text: str, *, subject: str = "Hello", html: str = "") -> Template:
    return Template("t", subject, text, html, VARIABLES)


def filled(text: str, *, html: str = "", **values: object) -> dict[str, str]:
    made = template(text, html=html)
    assert template_fault(made) == ""
    return rendered(made, typed(made, {**VALUES, **values}))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{{ unknown }}",
            "{{ name.upper() }}",
            "{{ name.__class__ }}",
            "{{ name['__class__'] }}",
            "{{ name|attr('x') }}",
        ),
        *(
            "{{ range(9) }}",
            "{{ lipsum() }}",
            "{{ cycler }}",
            "{{ self }}",
            "{{ namespace() }}",
            "{{ dict() }}",
            "{{ loop }}",
        ),
        *(
            "{% set x = 1 %}",
            "{% macro m() %}{% endmacro %}",
            "{% include 'x' %}",
            "{% import 'x' as y %}",
            "{% extends 'x' %}",
        ),
        *(
            "{% block b %}{% endblock %}",
            "{% call x() %}{% endcall %}",
            "{% filter upper %}{% endfilter %}",
            "{% raw %}x{% endraw %}{{ x }}",
        ),
        *(
            "{{ 'a' * 999999999 }}",
            "{{ 9 ** 9 }}",
            "{{ name ~ name }}",
            "{{ name + name }}",
            "{{ name % 2 }}",
            "{{ [1] }}",
            "{{ {} }}",
        ),
        *(
            "{{ name[0:2] }}",
            "{{ name[0] }}",
            "{{ name|replace('a', 'b') }}",
            "{{ name|center(99999999) }}",
            "{{ name|safe }}",
        ),
        *(
            "{{ name|format }}",
            "{{ name|map('x') }}",
            "{{ name|upper('x') }}",
            "{{ name|default('x') }}",
            "{{ name if name else 1 }}",
        ),
        "{% for x in lines %}{% for y in lines %}{% endfor %}{% endfor %}",
        "{% for x in name %}{% endfor %}",
        "{% for x in [1] %}{% endfor %}",
        "{% for x in lines recursive %}{% endfor %}",
        "{% for name in lines %}{% endfor %}",
        "{% for x, y in lines %}{% endfor %}",
        "{% for x in lines %}{% endfor %}{{ x }}",
        "{% for x in lines %}{{ loop.cycle('a') }}{% endfor %}",
        *("{{ name", "{% if name %}", "{% endif %}", "{{ name | }}", "{" * 50),
        "{{ name }}" * 10_000,
    ],
)
def test_what_could_run_for_long_or_reach_elsewhere_is_no_template(text: str) -> None:
    assert template_fault(template(text)) != ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Dear {{ name }}", "Dear Ann"),
        ("{{ name|upper }} {{ lines|join(', ') }} {{ lines|length }}", "ANN x, y 2"),
        ("{% for x in lines %}{{ loop.index }}{{ x }}{% if not loop.last %};{% endif %}{% endfor %}", "1x;2y"),
        ("{% if count > 2 and name == 'Ann' %}yes{% else %}no{% endif %}", "yes"),
        ("{% if more %}{{ more }}{% else %}none{% endif %}", "none"),
        ("{# a note #}x{% raw %}{{ }}{% endraw %}", "x{{ }}"),
    ],
)
def test_what_templates_are_made_of(text: str, said: str) -> None:
    assert filled(text)["text"] == said


def test_html_is_escaped_and_plain_text_is_not() -> None:
    found = filled("{{ name }}", html="<b title='{{ name }}'>{{ name }}</b>", name="<i>'&\"")
    assert found["text"] == "<i>'&\""
    assert found["html"] == "<b title='&lt;i&gt;&#39;&amp;&#34;'>&lt;i&gt;&#39;&amp;&#34;</b>"


def test_what_fills_a_template_is_text_and_never_a_template() -> None:
    assert (
        filled("{{ name }}{{ note }}", name="{{ count }}", note="{% set x=1 %}")["text"] == "{{ count }}{% set x=1 %}"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"name": None},
        {"name": 1},
        {"name": ["a"]},
        {"name": "x" * 21},
        {"name": "a\nb"},
        {"name": "a\r\nBcc: b"},
        {"name": "\u202eabc"},
        {"name": "a\u200bb"},
        {"name": "a\x00b"},
        {"name": "\ud800"},
        {"note": "a\rb"},
        {"note": "x" * 101},
        {"lines": "x"},
        {"lines": ["x"] * 4},
        {"lines": [1]},
        {"lines": ["a\nb"]},
        {"count": "3"},
        {"count": True},
        {"count": 1.5},
        {"count": 10**30},
        {"other": "x"},
    ],
)
def test_values_are_of_their_types_and_lengths(values: dict[str, object]) -> None:
    made = template("{{ name }}")
    with pytest.raises(TemplateFaultError):
        typed(made, {**VALUES, **values})
    assert typed(made, VALUES)["name"] == "Ann"


@given(st.text(max_size=20))
def test_a_subject_is_one_line_whatever_fills_it(name: str) -> None:
    made = template("x", subject="Hello {{ name }}")
    try:
        said = rendered(made, typed(made, {**VALUES, "name": name}))
    except TemplateFaultError:
        return
    assert "\n" not in said["subject"]
    assert "\r" not in said["subject"]


def test_links_of_the_template_itself_are_known_and_none_that_a_value_completes() -> None:
    made = template("https://pay.acme.example/{{ name }} https://{{ name }}.evil.com https://acme.example{{ name }}")
    assert own_links(made) == {"pay.acme.example"}


def test_templates_are_accepted_word_for_word_and_read_back() -> None:
    made = template("Dear {{ name }}", html="<p>{{ name }}</p>")
    locked = locked_send([made])
    assert templates_in(locked.definition) == {"t": made} or definition_of(
        templates_in(locked.definition)["t"]
    ) == definition_of(made)
    other = locked_send([template("Dear {{ name }}!", html="<p>{{ name }}</p>")])
    assert other.fingerprint != locked.fingerprint


def test_files_of_a_folder_are_read_and_what_is_wrong_is_said() -> None:
    report = Report()
    files = {
        "a.yaml": "subject: x\n",
        "a.txt": "hello {{ name }}\n",
        "b.yaml": "subject: x\ntext: y\nvariables: {n: integr}\n",
    }
    assert [each.name for each in read_templates(report, files)] == ["b"]
    said = " ".join(each.message for each in report.sorted())
    assert "`name` is not one of its variables" in said
    assert "integr" in said
    fine = Report()
    files = {"a.yaml": "subject: x\nvariables: {name: {type: string, max: 9}}\n", "a.txt": "hello {{ name }}\n"}
    (found,) = read_templates(fine, files)
    assert fine.sorted() == ()
    assert (found.text, cast("object", found.variables["name"])) == ("hello {{ name }}\n", Variable("string", 9))
