// A session by JDBC: prints one JSON line a step, for tests/clients/test_client_jdbc.py.
import java.io.StringWriter;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;

public class JdbcSession {
    interface Work { Object run() throws Exception; }

    static Connection connection;

    static String json(Object value) {
        if (value == null) return "null";
        if (value instanceof Number || value instanceof Boolean) return value.toString();
        if (value instanceof Collection<?> many) {
            StringJoiner joined = new StringJoiner(", ", "[", "]");
            for (Object each : many) joined.add(json(each));
            return joined.toString();
        }
        return '"' + value.toString().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }

    static void step(String name, Work work) {
        Object value;
        try {
            value = work.run();
        } catch (SQLException error) {
            value = "refused " + error.getSQLState() + ": " + error.getMessage();
        } catch (Exception error) {
            value = "failed: " + error;
        }
        System.out.println("{\"step\": " + json(name) + ", \"value\": " + json(value) + "}");
    }

    static List<Object> rows(ResultSet result) throws SQLException {
        List<Object> found = new ArrayList<>();
        int width = result.getMetaData().getColumnCount();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (int place = 1; place <= width; place++) row.add(result.getString(place));
            found.add(row);
        }
        return found;
    }

    static List<Object> query(String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int place = 0; place < values.length; place++) statement.setObject(place + 1, values[place]);
            return rows(statement.executeQuery());
        }
    }

    static List<Object> columns(ResultSet result, String... names) throws SQLException {
        List<Object> found = new ArrayList<>();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (String name : names) row.add(result.getString(name));
            found.add(row);
        }
        return found;
    }

    public static void main(String[] arguments) throws Exception {
        String address = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
            + System.getenv("PGDATABASE") + "?sslmode=disable" + (arguments.length > 0 ? "&" + arguments[0] : "");
        connection = DriverManager.getConnection(address, System.getenv("PGUSER"), System.getenv("PGPASSWORD"));
        reads();
        metadata();
        writes();
        connection.close();
    }

    static void reads() throws SQLException {
        step("valid", () -> connection.isValid(5));
        step("select", () -> query("SELECT name, email FROM authors ORDER BY author_id"));
        step("parameters", () -> query("SELECT title FROM books WHERE book_id = ? AND price > ?", 3, new java.math.BigDecimal("1.5")));
        step("prepared by the server", () -> {
            List<Object> found = new ArrayList<>();
            try (PreparedStatement statement = connection.prepareStatement("SELECT stars FROM reviews WHERE review_id = ?")) {
                for (int id = 1; id <= 9; id++) {
                    statement.setInt(1, id);
                    found.addAll(rows(statement.executeQuery()));
                }
            }
            return found;
        });
        step("in portions", () -> {
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement("SELECT review_id FROM reviews ORDER BY 1")) {
                statement.setFetchSize(7);
                return rows(statement.executeQuery());
            } finally {
                connection.commit();
                connection.setAutoCommit(true);
            }
        });
        step("types", () -> {
            try (ResultSet result = connection.createStatement().executeQuery(
                    "SELECT price, published, details, ARRAY[book_id, 2], published::timestamp, price > 20, NULL::text"
                    + " FROM books ORDER BY book_id LIMIT 2")) {
                List<Object> found = new ArrayList<>();
                while (result.next()) {
                    found.add(Arrays.asList(result.getBigDecimal(1), result.getDate(2), result.getObject(3),
                        Arrays.toString((Object[]) result.getArray(4).getArray()), result.getTimestamp(5),
                        result.getBoolean(6), result.getString(7)));
                }
                return found;
            }
        });
        step("any of an array", () -> {
            try (PreparedStatement statement = connection.prepareStatement("SELECT title FROM books WHERE book_id = ANY (?) ORDER BY 1")) {
                statement.setArray(1, connection.createArrayOf("int4", new Integer[] {1, 2, 7710001}));
                return rows(statement.executeQuery());
            }
        });
        step("described", () -> {
            try (PreparedStatement statement = connection.prepareStatement("SELECT title, price, published FROM books WHERE book_id = ?")) {
                ResultSetMetaData shape = statement.getMetaData();
                List<Object> found = new ArrayList<>();
                for (int place = 1; place <= shape.getColumnCount(); place++)
                    found.add(Arrays.asList(shape.getColumnLabel(place), shape.getColumnTypeName(place), shape.getPrecision(place)));
                found.add(statement.getParameterMetaData().getParameterTypeName(1));
                return found;
            }
        });
        step("escapes", () -> query("SELECT {fn concat('a', 'b')}, {d '2026-01-01'}, {fn year({d '2026-01-01'})}, {fn lcase('X')}"));
        step("several", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.execute("SELECT 1; SELECT count(*) FROM books");
                statement.getMoreResults();
                return rows(statement.getResultSet());
            }
        });
        step("with a timeout", () -> {
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(10);
                statement.setMaxRows(3);
                return rows(statement.executeQuery("SELECT book_id FROM books ORDER BY 1"));
            }
        });
        step("scrolled", () -> {
            try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY)) {
                ResultSet result = statement.executeQuery("SELECT book_id FROM books ORDER BY 1");
                result.last();
                int last = result.getInt(1);
                result.absolute(2);
                return Arrays.asList(last, result.getInt(1));
            }
        });
        step("copied", () -> {
            StringWriter text = new StringWriter();
            connection.unwrap(PGConnection.class).getCopyAPI()
                .copyOut("COPY (SELECT tag_id, label FROM tags ORDER BY 1) TO STDOUT WITH (FORMAT csv)", text);
            return text.toString();
        });
        step("read only", () -> {
            connection.setReadOnly(true);
            List<Object> found = query("SELECT count(*) FROM books");
            connection.setReadOnly(false);
            return found;
        });
    }

    static void metadata() throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        step("tables", () -> columns(about.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME", "TABLE_TYPE"));
        step("columns", () -> columns(about.getColumns(null, "public", "authors", "%"), "COLUMN_NAME", "TYPE_NAME", "NULLABLE"));
        step("hidden columns", () -> columns(about.getColumns(null, "public", "%", "%hash%"), "COLUMN_NAME"));
        step("primary key", () -> columns(about.getPrimaryKeys(null, "public", "books"), "COLUMN_NAME", "PK_NAME"));
        step("imported keys", () -> columns(about.getImportedKeys(null, "public", "books"), "PKTABLE_NAME", "PKCOLUMN_NAME", "FKCOLUMN_NAME"));
        step("exported keys", () -> columns(about.getExportedKeys(null, "public", "authors"), "FKTABLE_NAME", "FKCOLUMN_NAME"));
        step("indexes", () -> columns(about.getIndexInfo(null, "public", "books", false, true), "INDEX_NAME", "COLUMN_NAME"));
        step("types known", () -> columns(about.getTypeInfo(), "TYPE_NAME").containsAll(List.of(List.of("int4"), List.of("text"), List.of("jsonb"))));
        step("functions", () -> columns(about.getFunctions(null, "pg_catalog", "btrim"), "FUNCTION_NAME").size() > 1);
        step("schemas", () -> columns(about.getSchemas(null, "public"), "TABLE_SCHEM"));
        step("best row", () -> columns(about.getBestRowIdentifier(null, "public", "books", DatabaseMetaData.bestRowSession, false), "COLUMN_NAME"));
        step("schema", () -> connection.getSchema());
        step("product", () -> about.getDatabaseProductName());
    }

    static void writes() throws SQLException {
        connection.setAutoCommit(false);
        step("insert with its key", () -> {
            try (PreparedStatement statement = connection.prepareStatement(
                    "INSERT INTO reviews (book_id, stars, body) VALUES (?, ?, ?)", new String[] {"review_id"})) {
                statement.setInt(1, 1);
                statement.setInt(2, 5);
                statement.setString(3, "by jdbc");
                int count = statement.executeUpdate();
                ResultSet keys = statement.getGeneratedKeys();
                return Arrays.asList(count, keys.next() && keys.getInt(1) > 1000);
            }
        });
        step("batch", () -> {
            try (PreparedStatement statement = connection.prepareStatement("UPDATE reviews SET stars = ? WHERE review_id = ?")) {
                for (int id = 1; id <= 4; id++) {
                    statement.setInt(1, id);
                    statement.setInt(2, id);
                    statement.addBatch();
                }
                List<Object> counts = new ArrayList<>();
                for (int count : statement.executeBatch()) counts.add(count);
                return counts;
            }
        });
        step("savepoint", () -> {
            Savepoint point = connection.setSavepoint();
            try (Statement statement = connection.createStatement()) {
                int gone = statement.executeUpdate("DELETE FROM reviews WHERE stars < 3");
                connection.rollback(point);
                return Arrays.asList(gone > 5, query("SELECT count(*) FROM reviews"));
            }
        });
        step("returning", () -> query("UPDATE reviews SET body = upper(body) WHERE review_id = ? RETURNING body", 7));
        step("outside", () -> {
            try (Statement statement = connection.createStatement()) {
                return statement.executeUpdate("DELETE FROM reviews WHERE review_id = 7700001");
            }
        });
        connection.rollback();
        connection.setAutoCommit(true);
        step("rolled back", () -> query("SELECT count(*), min(stars) FROM reviews WHERE review_id < 5"));
        step("refused", () -> query("SELECT password_hash FROM authors"));
        step("after", () -> query("SELECT 1"));
    }
}
