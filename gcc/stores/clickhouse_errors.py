"""What to do about an error of ClickHouse: try again (Transient), give up (Permanent), refuse to start.

In: exceptions of clickhouse-connect and of its transport. Out: ours, raised from them, in one line that
says what was asked, ClickHouse's code and its reason.

Only codes that are listed here are Permanent. Every other one, whether a version of ClickHouse knows it by now or not,
says nothing against the rows: good events are not dead-lettered because a disk is full, a grant is missing or a table
is read-only. Where a code may speak of either (BAD_ARGUMENTS), it is listed if a row can bring it about: such a row
would hold up its queue for ever.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeGuard

from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, NotSupportedError, ProgrammingError
from urllib3.exceptions import HTTPError

from gcc.errors import ConfigError, GccError, Permanent, TooMuch, Transient
from gcc.passwords import masked

MESSAGE_CHARS_MAX = 500
_UNREACHED = re.compile(r"HTTPS?ConnectionPool\(host='([^']*)', port=(\d+)\).*\[Errno -?\d+\] ([^\")]+)")
"""What urllib3 says in 300 characters, with the id of the query, of a server that nobody reached."""

TOO_MUCH = {
    (252, "partitions for single INSERT block"),  # the code also says that merges lag behind, which passes
    (241, "Query memory limit exceeded"),  # and that others have taken the memory: "(total)", "User"
    (241, "Memory limit (for query) exceeded"),  # as older servers say it
}
"""Code and words."""
OF_ROWS = {
    6: "CANNOT_PARSE_TEXT",
    7: "INCORRECT_NUMBER_OF_COLUMNS",
    19: "SIZE_OF_FIXED_STRING_DOESNT_MATCH",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    36: "BAD_ARGUMENTS",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    120: "CANNOT_INSERT_VALUE_OF_DIFFERENT_SIZE_INTO_TUPLE",
    128: "TOO_LARGE_ARRAY_SIZE",
    130: "CANNOT_READ_ARRAY_FROM_TEXT",
    131: "TOO_LARGE_STRING_SIZE",
    135: "ZERO_ARRAY_OR_TUPLE_INDEX",
    153: "ILLEGAL_DIVISION",
    169: "BAD_TYPE_OF_FIELD",
    170: "BAD_GET",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    248: "INVALID_PARTITION_VALUE",
    306: "TOO_DEEP_RECURSION",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    346: "CANNOT_CONVERT_CHARSET",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    366: "SIZES_OF_NESTED_COLUMNS_ARE_INCONSISTENT",
    376: "CANNOT_PARSE_UUID",
    395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    407: "DECIMAL_OVERFLOW",
    441: "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING",
    467: "CANNOT_PARSE_BOOL",
    469: "VIOLATED_CONSTRAINT",
    490: "CANNOT_FORMAT_DATETIME",
    563: "CANNOT_READ_MAP_FROM_TEXT",
    565: "TOO_MANY_PARTITIONS",
    621: "CANNOT_NORMALIZE_STRING",
    626: "CANNOT_SKIP_UNKNOWN_FIELD",
    632: "UNEXPECTED_DATA_AFTER_PARSED_VALUE",
    645: "NUMBER_OF_DIMENSIONS_MISMATCHED",
    675: "CANNOT_PARSE_IPV4",
    676: "CANNOT_PARSE_IPV6",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
    760: "UNICODE_ERROR",
}
"""Codes that speak of the rows: a value that cannot be read, converted, or kept by the table's rules."""

OF_STATEMENTS = {
    1: "UNSUPPORTED_METHOD",
    2: "UNSUPPORTED_PARAMETER",
    8: "THERE_IS_NO_COLUMN",
    9: "SIZES_OF_COLUMNS_DOESNT_MATCH",
    10: "NOT_FOUND_COLUMN_IN_BLOCK",
    11: "POSITION_OUT_OF_BOUND",
    12: "PARAMETER_OUT_OF_BOUND",
    13: "SIZES_OF_COLUMNS_IN_TUPLE_DOESNT_MATCH",
    15: "DUPLICATE_COLUMN",
    16: "NO_SUCH_COLUMN_IN_TABLE",
    20: "NUMBER_OF_COLUMNS_DOESNT_MATCH",
    34: "TOO_MANY_ARGUMENTS_FOR_FUNCTION",
    35: "TOO_FEW_ARGUMENTS_FOR_FUNCTION",
    37: "UNKNOWN_ELEMENT_IN_AST",
    42: "NUMBER_OF_ARGUMENTS_DOESNT_MATCH",
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    46: "UNKNOWN_FUNCTION",
    47: "UNKNOWN_IDENTIFIER",
    48: "NOT_IMPLEMENTED",
    50: "UNKNOWN_TYPE",
    51: "EMPTY_LIST_OF_COLUMNS_QUERIED",
    52: "COLUMN_QUERIED_MORE_THAN_ONCE",
    55: "STORAGE_REQUIRES_PARAMETER",
    56: "UNKNOWN_STORAGE",
    57: "TABLE_ALREADY_EXISTS",
    59: "ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER",
    60: "UNKNOWN_TABLE",
    62: "SYNTAX_ERROR",
    63: "UNKNOWN_AGGREGATE_FUNCTION",
    73: "UNKNOWN_FORMAT",
    78: "UNKNOWN_TYPE_OF_QUERY",
    80: "INCORRECT_QUERY",
    81: "UNKNOWN_DATABASE",
    82: "DATABASE_ALREADY_EXISTS",
    90: "EMPTY_LIST_OF_COLUMNS_PASSED",
    115: "UNKNOWN_SETTING",
    116: "THERE_IS_NO_DEFAULT_VALUE",
    119: "ENGINE_REQUIRED",
    121: "UNSUPPORTED_JOIN_KEYS",
    122: "INCOMPATIBLE_COLUMNS",
    123: "UNKNOWN_TYPE_OF_AST_NODE",
    124: "INCORRECT_ELEMENT_OF_SET",
    125: "INCORRECT_RESULT_OF_SCALAR_SUBQUERY",
    127: "ILLEGAL_INDEX",
    129: "FUNCTION_IS_SPECIAL",
    133: "AGGREGATE_FUNCTION_DOESNT_ALLOW_PARAMETERS",
    134: "PARAMETERS_TO_AGGREGATE_FUNCTIONS_MUST_BE_LITERALS",
    141: "SAMPLING_NOT_SUPPORTED",
    152: "UNKNOWN_DIRECTION_OF_SORTING",
    158: "TOO_MANY_ROWS",
    161: "TOO_MANY_COLUMNS",
    162: "TOO_DEEP_SUBQUERIES",
    165: "TOO_MANY_TEMPORARY_COLUMNS",
    166: "TOO_MANY_TEMPORARY_NON_CONST_COLUMNS",
    167: "TOO_DEEP_AST",
    168: "TOO_BIG_AST",
    174: "CYCLIC_ALIASES",
    179: "MULTIPLE_EXPRESSIONS_FOR_ALIAS",
    181: "ILLEGAL_FINAL",
    182: "ILLEGAL_PREWHERE",
    183: "UNEXPECTED_EXPRESSION",
    184: "ILLEGAL_AGGREGATION",
    186: "UNSUPPORTED_COLLATION_LOCALE",
    191: "SET_SIZE_LIMIT_EXCEEDED",
    206: "ALIAS_REQUIRED",
    207: "AMBIGUOUS_IDENTIFIER",
    208: "EMPTY_NESTED_TABLE",
    211: "EMPTY_QUERY",
    215: "NOT_AN_AGGREGATE",
    223: "UNEXPECTED_AST_STRUCTURE",
    229: "QUERY_IS_TOO_LARGE",
    258: "UNION_ALL_RESULT_STRUCTURES_MISMATCH",
    262: "BAD_COLLATION",
    264: "INCOMPATIBLE_TYPE_OF_JOIN",
    269: "INFINITE_LOOP",
    277: "INDEX_NOT_USED",
    284: "WRONG_GLOBAL_SUBQUERY",
    288: "DISTRIBUTED_IN_JOIN_SUBQUERY_DENIED",
    307: "TOO_MANY_BYTES",
    309: "FUNCTION_CANNOT_HAVE_PARAMETERS",
    344: "SUPPORT_IS_DISABLED",
    352: "AMBIGUOUS_COLUMN_NAME",
    353: "INDEX_OF_POSITIONAL_ARGUMENT_IS_OUT_OF_RANGE",
    370: "DATA_TYPE_CANNOT_BE_USED_IN_TABLES",
    377: "ILLEGAL_SYNTAX_FOR_DATA_TYPE",
    378: "DATA_TYPE_CANNOT_HAVE_ARGUMENTS",
    386: "NO_COMMON_TYPE",
    392: "QUERY_IS_PROHIBITED",
    396: "TOO_MANY_ROWS_OR_BYTES",
    398: "UNKNOWN_MUTATION_COMMAND",
    403: "INVALID_JOIN_ON_EXPRESSION",
    406: "TOP_AND_LIMIT_TOGETHER",
    408: "BAD_REQUEST_PARAMETER",
    417: "EXPECTED_ALL_OR_ANY",
    418: "UNKNOWN_JOIN",
    419: "MULTIPLE_ASSIGNMENTS_TO_COLUMN",
    420: "CANNOT_UPDATE_COLUMN",
    421: "CANNOT_ADD_DIFFERENT_AGGREGATE_STATES",
    427: "CANNOT_COMPILE_REGEXP",
    431: "ILLEGAL_SYNTAX_FOR_CODEC_TYPE",
    432: "UNKNOWN_CODEC",
    433: "ILLEGAL_CODEC_PARAMETER",
    438: "DATA_TYPE_CANNOT_BE_PROMOTED",
    440: "INVALID_LIMIT_EXPRESSION",
    446: "FUNCTION_NOT_ALLOWED",
    450: "BAD_TTL_EXPRESSION",
    452: "SETTING_CONSTRAINT_VIOLATION",
    455: "SUSPICIOUS_TYPE_FOR_LOW_CARDINALITY",
    456: "UNKNOWN_QUERY_PARAMETER",
    457: "BAD_QUERY_PARAMETER",
    471: "INVALID_SETTING_VALUE",
    475: "INVALID_WITH_FILL_EXPRESSION",
    476: "WITH_TIES_WITHOUT_ORDER_BY",
    477: "INVALID_USAGE_OF_INPUT",
    498: "LIMIT_BY_WITH_TIES_IS_NOT_SUPPORTED",
    503: "AGGREGATE_FUNCTION_THROW",
    524: "ALTER_OF_COLUMN_IS_FORBIDDEN",
    527: "NO_SUITABLE_FUNCTION_IMPLEMENTATION",
    544: "ROW_AND_ROWS_TOGETHER",
    545: "FIRST_AND_NEXT_TOGETHER",
    549: "DATA_TYPE_CANNOT_BE_USED_IN_KEY",
    552: "UNRECOGNIZED_ARGUMENTS",
    557: "UNKNOWN_UNION",
    558: "EXPECTED_ALL_OR_DISTINCT",
    582: "NO_SUCH_PROJECTION_IN_TABLE",
    583: "ILLEGAL_PROJECTION",
    596: "INTERSECT_OR_EXCEPT_RESULT_STRUCTURES_MISMATCH",
    620: "QUERY_NOT_ALLOWED",
    628: "OFFSET_FETCH_WITHOUT_ORDER_BY",
    636: "CANNOT_EXTRACT_TABLE_STRUCTURE",
    690: "MIXED_ACCESS_PARAMETER_TYPES",
    703: "INVALID_IDENTIFIER",
    718: "TOO_SLOW_PARSING",
    721: "DEPRECATED_FUNCTION",
    727: "UNEXPECTED_TABLE_ENGINE",
    728: "UNEXPECTED_DATA_TYPE",
}
"""Codes that speak of a statement: it would fail again. That of an insert is ours, and the same for all rows."""

REFUSED = {
    81: "UNKNOWN_DATABASE",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    195: "IP_ADDRESS_NOT_ALLOWED",
    291: "DATABASE_ACCESS_DENIED",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
    720: "USER_EXPIRED",
    767: "REQUIRED_SECOND_FACTOR",
}
"""Codes that waiting does not mend when a process starts."""


@contextmanager
def translated(
    what: str, *, starting: bool = False, inserting: bool = False, hidden: Collection[str] = ()
) -> Iterator[None]:
    """Errors of the driver and its transport leave the block as ours, see `judged`."""
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        raise judged(error, what, starting=starting, inserting=inserting, hidden=hidden) from error


def judged(
    error: Exception, what: str, *, starting: bool = False, inserting: bool = False, hidden: Collection[str] = ()
) -> GccError:
    """`starting` makes REFUSED, and what the driver cannot use, a ConfigError.

    `inserting`, only OF_ROWS and TOO_MUCH are Permanent.

    What is `hidden` is masked in what the server says.

    Errors without a code come from the transport, or from wrong use of the driver.
    """
    code = getattr(error, "code", None)
    said = str(error).partition("\n")[0].rpartition("DB::Exception: ")[2]
    if not code and (unreached := _UNREACHED.search(said)):
        said = "{}:{}: {}".format(*unreached.groups())
    reason = masked(said, hidden) or type(error).__name__
    message = f"ClickHouse, {what}: {f'code {code}: ' if code else ''}{reason}"[:MESSAGE_CHARS_MAX]
    if inserting and any(code == number and words in reason for number, words in TOO_MUCH):
        return TooMuch(message)
    if starting and (code in REFUSED or (not code and isinstance(error, ProgrammingError))):
        return ConfigError(f"clickhouse.url: {message}")
    if code:
        permanent = code in OF_ROWS or (code in OF_STATEMENTS and not inserting)
    else:
        permanent = isinstance(error, (ProgrammingError, DataError, NotSupportedError))
    return Permanent(message) if permanent else Transient(message)


def is_unreachable(error: BaseException) -> TypeGuard[Transient]:
    """Whether nobody answered: the transport failed, or a server that is going away had no code to say."""
    cause = error.__cause__
    return isinstance(error, Transient) and isinstance(cause, Exception) and not getattr(cause, "code", None)
