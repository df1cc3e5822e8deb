"""Extensions that were looked at: what of each agents may use.

Listed is what only computes over what it is given: no table, file, catalogue or setting is read, nothing is kept. Left
out are the parts that do more (tablefunc's `crosstab` and `connectby` run SQL, `set_limit` and `isn_weak` change the
session, `uuid_generate_v1` tells the machine's address), and support functions that nobody calls by name. What a later
version of an extension adds is closed until it stands here. Extensions without a list are opened function by function
in the policy, if at all: dblink, xml2, adminpack, lo and file_fdw reach out; postgis is too large to be looked at here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What agents may use of an extension, by name: every overload of a name was looked at."""

    functions: frozenset[str]
    operators: frozenset[str]
    types: frozenset[str]


def _reviewed(functions: str = "", operators: str = "", types: str = "") -> Reviewed:
    return Reviewed(frozenset(functions.split()), frozenset(operators.split()), frozenset(types.split()))


_COMPARED = "= <> < <= > >="

REVIEWED: Mapping[str, Reviewed] = {
    "citext": _reviewed(
        "citext max min regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table replace"
        " split_part strpos translate",
        f"{_COMPARED} ~ !~ ~* !~* ~~ !~~ ~~* !~~*",
        "citext",
    ),
    "cube": _reviewed(
        "cube cube_dim cube_distance cube_enlarge cube_inter cube_is_point cube_ll_coord cube_size cube_subset"
        " cube_union cube_ur_coord distance_chebyshev distance_taxicab",
        f"{_COMPARED} && @> <@ -> ~> <-> <#> <=>",
        "cube",
    ),
    "fuzzystrmatch": _reviewed(
        "daitch_mokotoff difference dmetaphone dmetaphone_alt levenshtein levenshtein_less_equal metaphone soundex"
    ),
    "hstore": _reviewed(
        "akeys avals defined delete each exist exists_all exists_any fetchval hstore hstore_to_array hstore_to_json"
        " hstore_to_json_loose hstore_to_jsonb hstore_to_jsonb_loose hstore_to_matrix isdefined isexists"
        " populate_record skeys slice slice_array svals",
        "= <> #= %# %% - -> <@ @> ? ?& ?| || #<# #<=# #># #>=#",
        "hstore",
    ),
    "intarray": _reviewed(
        "icount idx intarray_del_elem intarray_push_array intarray_push_elem intset intset_subtract"
        " intset_union_elem querytree sort sort_asc sort_desc subarray uniq",
        "# & && + - <@ @> @@ | ~~",
        "query_int",
    ),
    "isn": _reviewed(
        "is_valid isbn isbn13 ismn ismn13 issn issn13 make_valid upc",
        _COMPARED,
        "ean13 isbn isbn13 ismn ismn13 issn issn13 upc",
    ),
    "ltree": _reviewed(
        "index lca ltree2text nlevel subltree subpath text2ltree",
        f"{_COMPARED} <@ @> ~ ? @ || ?<@ ?@ ?@> ?~ ^<@ ^? ^@ ^@> ^~",
        "lquery ltree ltxtquery",
    ),
    "pg_trgm": _reviewed(
        "show_limit show_trgm similarity strict_word_similarity word_similarity",
        "% %> %>> <% <<% <-> <->> <->>> <<-> <<<->",
    ),
    "pgcrypto": _reviewed(
        "armor crypt dearmor decrypt decrypt_iv digest encrypt encrypt_iv gen_random_bytes gen_random_uuid gen_salt"
        " hmac pgp_armor_headers pgp_key_id pgp_pub_decrypt pgp_pub_decrypt_bytea pgp_pub_encrypt"
        " pgp_pub_encrypt_bytea pgp_sym_decrypt pgp_sym_decrypt_bytea pgp_sym_encrypt pgp_sym_encrypt_bytea"
    ),
    "seg": _reviewed(
        "seg_center seg_inter seg_lower seg_size seg_union seg_upper",
        f"{_COMPARED} && &< &> << >> <@ @>",
        "seg",
    ),
    "tablefunc": _reviewed("normal_rand"),
    "unaccent": _reviewed("unaccent"),
    "uuid-ossp": _reviewed(
        "uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4 uuid_generate_v5 uuid_nil uuid_ns_dns uuid_ns_oid"
        " uuid_ns_url uuid_ns_x500"
    ),
    "vector": _reviewed(
        "avg binary_quantize cosine_distance hamming_distance inner_product jaccard_distance l1_distance l2_distance"
        " l2_norm l2_normalize subvector sum vector_dims vector_norm",
        f"{_COMPARED} + - * || <-> <#> <=> <+> <~> <%>",
        "halfvec sparsevec vector",
    ),
}
"""Extension → what agents may use of it."""

ONE_ARGUMENT: frozenset[str] = frozenset({"unaccent"})
"""Functions that are called with one argument only: the other form names a dictionary, which is looked up."""


def names_of(kind: str, extensions: frozenset[str]) -> list[tuple[str, str]]:
    """Return (extension, name) of every function, operator or type of these extensions."""
    found: list[tuple[str, str]] = []
    for extension in sorted(extensions):
        known = REVIEWED[extension]
        names = {"function": known.functions, "operator": known.operators, "type": known.types}[kind]
        found += [(extension, name) for name in sorted(names)]
    return found
