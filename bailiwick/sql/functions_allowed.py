"""The functions of `pg_catalog` that agents may call freely, by name, on PostgreSQL 15 to 18.

Each name was looked at with *all* its overloads: none reads tables, catalogues, files or settings, and none touches
the server, other sessions, locks, sequences, statistics, large objects, replication or notification. Volatility was no
criterion. A name that is not here is refused, or replaced by a template of `bailiwick.sql.functions`.

Left out on purpose although they look harmless: `pg_typeof`, `format_type`, `oidvectortypes`, `pg_basetype` (print the
name of any type, row types of hidden tables included), `ts_rewrite` (one overload runs SQL), `ts_debug`, `ts_lexize`,
`ts_parse`, `get_current_ts_config` (read text search settings of the database), `current_query` (the rewritten
text), `pg_input_is_valid` (looks up any type), `satisfies_hash_partition` (opens any table), `setseed` (session
state), `nameconcatoid`, `hash*` (internals), `xmlvalidate`. What only bombs memory or time (`repeat`, `lpad`,
`generate_series`) is allowed: that is for limits.
"""

from __future__ import annotations

_TEXT = """
    ascii bit_length btrim casefold char_length character_length chr concat concat_ws format initcap is_normalized
    left length like like_escape lower lpad ltrim normalize notlike octet_length overlay parse_ident position
    quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches
    regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim
    similar_escape similar_to_escape split_part starts_with string_to_array string_to_table strpos substr substring
    textcat textlen to_ascii to_char to_hex to_bin to_oct translate unicode_assigned unicode_version
    icu_unicode_version unistr upper like_escape texteq textne text_lt text_le text_gt text_ge textlike textnlike
    texticlike texticnlike textregexeq textregexne texticregexeq texticregexne bpchareq bpcharne bpcharlt bpcharle
    bpchargt bpcharge bpcharlike bpcharnlike bpchariclike bpcharicnlike text_larger text_smaller bpchar_larger
    bpchar_smaller
"""

_NUMBERS = """
    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd
    degrees div erf erfc exp factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod pi pow power radians
    random random_normal round scale sign sin sind sinh sqrt tan tand tanh to_number trim_scale trunc width_bucket
    cash_words
    int2abs int4abs int8abs float4abs float8abs numeric_abs int2mod int4mod int8mod numeric_mod
    int2pl int2mi int2mul int2div int4pl int4mi int4mul int4div int8pl int8mi int8mul int8div
    int2um int4um int8um int2up int4up int8up int2and int2or int2xor int2not int2shl int2shr
    int4and int4or int4xor int4not int4shl int4shr int8and int8or int8xor int8not int8shl int8shr
    int2eq int2ne int2lt int2le int2gt int2ge int4eq int4ne int4lt int4le int4gt int4ge
    int8eq int8ne int8lt int8le int8gt int8ge
    int24eq int24ne int24lt int24le int24gt int24ge int28eq int28ne int28lt int28le int28gt int28ge
    int42eq int42ne int42lt int42le int42gt int42ge int48eq int48ne int48lt int48le int48gt int48ge
    int82eq int82ne int82lt int82le int82gt int82ge int84eq int84ne int84lt int84le int84gt int84ge
    float4pl float4mi float4mul float4div float8pl float8mi float8mul float8div float4um float8um float4up float8up
    float4eq float4ne float4lt float4le float4gt float4ge float8eq float8ne float8lt float8le float8gt float8ge
    numeric_add numeric_sub numeric_mul numeric_div numeric_div_trunc numeric_exp numeric_ln numeric_log
    numeric_power numeric_sqrt numeric_uminus numeric_uplus numeric_inc numeric_eq numeric_ne numeric_lt numeric_le
    numeric_gt numeric_ge numeric_larger numeric_smaller
    int2larger int2smaller int4larger int4smaller int8larger int8smaller float4larger float4smaller float8larger
    float8smaller dexp dlog1 dlog10 dpow dround dsqrt dtrunc dcbrt int4inc int8inc int8dec
"""

_DATES = """
    age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days
    justify_hours justify_interval make_date make_interval make_time make_timestamp make_timestamptz now overlaps
    statement_timestamp timeofday timezone to_date to_timestamp transaction_timestamp
    date_pli date_mii date_mi date_eq date_ne date_lt date_le date_gt date_ge date_pl_interval date_mi_interval
    datetime_pl datetimetz_pl timedate_pl timetzdate_pl integer_pl_date interval_pl_date interval_pl_time
    interval_pl_timestamp interval_pl_timestamptz interval_pl_timetz interval_pl interval_mi interval_mul
    interval_div interval_um interval_eq interval_ne interval_lt interval_le interval_gt interval_ge mul_d_interval
    time_pl_interval time_mi_interval time_mi_time time_eq time_ne time_lt time_le time_gt time_ge
    timetz_pl_interval timetz_mi_interval timetz_eq timetz_ne timetz_lt timetz_le timetz_gt timetz_ge
    timestamp_mi timestamp_pl_interval timestamp_mi_interval timestamp_eq timestamp_ne timestamp_lt timestamp_le
    timestamp_gt timestamp_ge timestamptz_mi timestamptz_pl_interval timestamptz_mi_interval timestamptz_eq
    timestamptz_ne timestamptz_lt timestamptz_le timestamptz_gt timestamptz_ge date_larger date_smaller time_larger
    time_smaller timetz_larger timetz_smaller timestamp_larger timestamp_smaller timestamptz_larger
    timestamptz_smaller interval_larger interval_smaller
"""

_JSON = """
    array_to_json json_agg json_agg_strict json_array_element json_array_element_text json_array_elements
    json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text
    json_extract_path json_extract_path_text json_object json_object_agg json_object_agg_strict
    json_object_agg_unique json_object_agg_unique_strict json_object_field json_object_field_text json_object_keys
    json_populate_record json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof
    jsonb_agg jsonb_agg_strict jsonb_array_element jsonb_array_element_text jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_concat jsonb_contained
    jsonb_contains jsonb_delete jsonb_delete_path jsonb_each jsonb_each_text jsonb_exists jsonb_exists_all
    jsonb_exists_any jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg
    jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_agg_unique_strict jsonb_object_field
    jsonb_object_field_text jsonb_object_keys jsonb_path_exists jsonb_path_exists_opr jsonb_path_exists_tz
    jsonb_path_match jsonb_path_match_opr jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
    jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz
    jsonb_populate_record jsonb_populate_record_valid jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax
    jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb
    jsonb_eq jsonb_ne jsonb_lt jsonb_le jsonb_gt jsonb_ge
"""

_ARRAYS = """
    array_agg array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort
    array_to_string array_upper arraycontained arraycontains arrayoverlap cardinality generate_series
    generate_subscripts trim_array unnest array_eq array_ne array_lt array_le array_gt array_ge array_larger
    array_smaller
"""

_AGGREGATES = """
    any_value avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every max min mode
    percentile_cont percentile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
    regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance
"""

_WINDOWS = """
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
"""

_FULL_TEXT = """
    array_to_tsvector json_to_tsvector jsonb_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight
    strip to_tsquery to_tsvector ts_delete ts_filter ts_headline ts_match_qv ts_match_tq ts_match_tt ts_match_vq
    ts_rank ts_rank_cd tsq_mcontained tsq_mcontains tsquery_and tsquery_not tsquery_or tsquery_phrase
    tsvector_concat tsvector_to_array websearch_to_tsquery
"""

_RANGES = """
    datemultirange daterange elem_contained_by_multirange elem_contained_by_range int4multirange int4range
    int8multirange int8range isempty lower_inc lower_inf multirange multirange_intersect multirange_minus
    multirange_union nummultirange numrange range_agg range_intersect_agg range_merge range_adjacent range_after
    range_before range_contained_by range_contains range_contains_elem range_eq range_ne range_intersect range_minus
    range_overlaps range_overleft range_overright range_union tsmultirange tsrange tstzmultirange tstzrange upper_inc
    upper_inf multirange_contains_elem multirange_contains_range multirange_contains_multirange
"""

_NETWORK = """
    abbrev broadcast family host hostmask inet_merge inet_same_family inetand inetnot inetor inetmi inetmi_int8
    inetpl macaddr8_set7bit masklen netmask network network_eq network_ne network_lt network_le network_gt network_ge
    network_overlap network_sub network_subeq network_sup network_supeq set_masklen macaddr_and macaddr_or macaddr_not
"""

_UUID = """
    gen_random_uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 uuid_eq uuid_ne uuid_lt uuid_le uuid_gt
    uuid_ge
"""

_GEOMETRY = """
    area bound_box center diagonal diameter height isclosed ishorizontal isopen isparallel isperp isvertical npoints
    pclose popen radius slope width box circle line lseg point polygon path
    box_contain box_contained box_overlap box_center circle_center circle_contain circle_distance dist_pb dist_pl
    dist_ps dist_cpoint lseg_center lseg_distance lseg_length path_length path_distance path_npoints point_above
    point_add point_below point_distance point_div point_left point_mul point_right point_sub poly_center
    poly_contain poly_contained poly_distance poly_npoints poly_overlap
"""

_XML = """
    xml_is_well_formed xml_is_well_formed_content xml_is_well_formed_document xmlagg xmlcomment xmlconcat2 xmlexists
    xmltext xpath xpath_exists
"""

_BYTES_BITS_HASHES = """
    bit_count bitand bitcat bitnot bitor bitshiftleft bitshiftright bitxor byteacat convert convert_from convert_to
    crc32 crc32c decode encode get_bit get_byte md5 set_bit set_byte sha224 sha256 sha384 sha512
    byteaeq byteane bytealt byteale byteagt byteage bytealike byteanlike bytea_larger bytea_smaller
"""

_CASTS = """
    bit bool bpchar bytea char cidr date float4 float8 int2 int4 int8 interval macaddr macaddr8 money name numeric
    oid text time timestamp timestamptz timetz varbit varchar xml
"""

_ENUMS_ROWS_NULLS = """
    enum_first enum_last enum_range enum_eq enum_ne enum_lt enum_le enum_gt enum_ge enum_larger enum_smaller booleq
    boolne boollt boolle boolgt boolge num_nonnulls num_nulls record_eq record_ne record_lt record_le record_gt
    record_ge
"""

_SYSTEM = """
    getdatabaseencoding pg_backend_pid pg_char_to_encoding pg_client_encoding pg_collation_for pg_column_compression
    pg_column_size pg_encoding_max_length pg_encoding_to_char pg_get_keywords pg_indexam_has_property
    pg_options_to_table pg_size_bytes pg_size_pretty pg_trigger_depth version
"""

ALLOWED: frozenset[str] = frozenset(
    " ".join(
        (
            _TEXT,
            _NUMBERS,
            _DATES,
            _JSON,
            _ARRAYS,
            _AGGREGATES,
            _WINDOWS,
            _FULL_TEXT,
            _RANGES,
            _NETWORK,
            _UUID,
            _GEOMETRY,
            _XML,
            _BYTES_BITS_HASHES,
            _CASTS,
            _ENUMS_ROWS_NULLS,
            _SYSTEM,
        )
    ).split()
)

_ANSWERED = {
    0: """
        current_catalog current_database current_schema current_user getpgusername pg_advisory_unlock_all
        pg_is_in_recovery pg_my_temp_schema session_user
    """,
    1: """
        current_schemas current_setting pg_collation_is_visible pg_conversion_is_visible pg_function_is_visible
        pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
        pg_get_function_sqlbody pg_get_indexdef pg_get_partition_constraintdef pg_get_partkeydef
        pg_get_statisticsobjdef_columns pg_get_userbyid pg_is_other_temp_schema pg_opclass_is_visible
        pg_operator_is_visible pg_opfamily_is_visible pg_partition_ancestors pg_relation_is_publishable
        pg_table_is_visible pg_table_size pg_tablespace_location pg_ts_config_is_visible pg_ts_dict_is_visible
        pg_ts_parser_is_visible pg_ts_template_is_visible pg_type_is_visible pg_typeof row_security_active
    """,
    2: """
        col_description current_setting format_type has_any_column_privilege has_database_privilege
        has_schema_privilege has_table_privilege obj_description pg_get_constraintdef pg_get_expr pg_get_ruledef
        pg_get_serial_sequence pg_get_triggerdef pg_get_viewdef pg_has_role shobj_description
    """,
    3: """
        has_any_column_privilege has_column_privilege has_database_privilege has_schema_privilege
        has_table_privilege pg_column_is_updatable pg_get_expr pg_get_indexdef pg_has_role
    """,
    4: """
        has_column_privilege
    """,
}
ANSWERED: frozenset[tuple[str, int]] = frozenset(
    (name, count) for count, names in _ANSWERED.items() for name in names.split()
)
"""(function, number of arguments) of every call that `bailiwick.sql.functions` replaces by an expression."""
