"""Asks one SQL engine all questions of all sources, and prints what it answers.

    ask.py ENGINE < {"sources": [...], "questions": [...]}

A source is a journal's folder ("root", of a cluster), read as a Delta table with the newest segments beside it ("table"), or as the files
of the bucket alone ("bucket"). "s3" has what is needed to reach one in a store. The answer is a list for each source, of a list for each
question, of rows; every value is text, or null.
"""

import glob
import json
import os
import sys


def columns(schema):
    """The columns that table and files have in common."""
    return ", ".join('"%s"' % name for name in schema if name != "day")


def union(table, wal, names):
    """The table, and of the newest segments what is behind its end."""
    return "SELECT {0} FROM {1} UNION ALL SELECT {0} FROM {2} WHERE pos > (SELECT max(pos) FROM {1})".format(names, table, wal)


def once(parts, names):
    """Each row once, of files that hold the same."""
    every = " UNION ALL ".join("SELECT {0} FROM {1}".format(names, part) for part in parts)
    nth = "SELECT {0}, row_number() OVER (PARTITION BY pos ORDER BY rv) AS nth FROM ({1}) AS all_rows".format(names, every)
    return "SELECT {0} FROM ({1}) AS every_row WHERE nth = 1".format(names, nth)


def folders(root):
    """The folders of rows of a journal: levels that have files, and segments."""
    if root.startswith("s3://"):
        return ["log/1", "log/2", "log/3", "wal"]
    return [f for f in ("log/1", "log/2", "log/3", "wal") if glob.glob(os.path.join(root, f, "*.parquet"))]


def delta(root, s3):
    from deltalake import DeltaTable

    options = {}
    if s3:
        options = {
            "AWS_ENDPOINT_URL": s3["endpoint"],
            "AWS_ACCESS_KEY_ID": s3["key"],
            "AWS_SECRET_ACCESS_KEY": s3["secret"],
            "AWS_REGION": s3["region"],
            "AWS_ALLOW_HTTP": "true",
        }
    return DeltaTable(root + "/log", storage_options=options)


class DuckDb:
    """DuckDB with its own reader of Delta tables."""

    def __init__(self, kind, root, s3):
        import duckdb

        self.sql = duckdb.connect()
        self.extension("delta")
        self.sql.execute("SET TimeZone = 'UTC'")
        if s3:
            self.extension("httpfs")
            host = s3["endpoint"].split("://")[1]
            self.sql.execute(
                "CREATE SECRET (TYPE s3, KEY_ID '%s', SECRET '%s', REGION '%s', ENDPOINT '%s', URL_STYLE 'path', USE_SSL false)"
                % (s3["key"], s3["secret"], s3["region"], host)
            )
        parts = ["read_parquet('%s/%s/*.parquet', union_by_name = true)" % (root, f) for f in folders(root)]
        names = columns(self.sql.sql("SELECT * FROM %s LIMIT 0" % parts[-1]).columns)
        if kind == "table":
            view = union("delta_scan('%s/log')" % root, parts[-1], names)
        else:
            view = once(parts, names)
        self.sql.execute("CREATE TABLE changes AS " + view)

    def extension(self, name):
        import importlib

        module = importlib.import_module("duckdb_extension_" + name)
        (path,) = glob.glob(os.path.join(os.path.dirname(module.__file__), "extensions", "*", name + ".duckdb_extension"))
        self.sql.execute("LOAD '%s'" % path)

    def ask(self, question):
        return self.sql.execute(question).fetchall()


class PyArrow:
    """What pyarrow reads, as a table in memory; SQL of it is asked of DuckDB, since pyarrow has none."""

    def __init__(self, kind, root, s3):
        import duckdb
        import pyarrow as pa
        import pyarrow.dataset as ds
        from pyarrow import fs

        if s3:
            store = fs.S3FileSystem(
                endpoint_override=s3["endpoint"].split("://")[1],
                scheme="http",
                access_key=s3["key"],
                secret_key=s3["secret"],
                region=s3["region"],
            )
            path = root[len("s3://") :]
        else:
            store, path = fs.LocalFileSystem(), root
        self.sql = duckdb.connect()
        self.sql.execute("SET TimeZone = 'UTC'")
        files = {f: ds.dataset(path + "/" + f, filesystem=store, format="parquet").to_table() for f in folders(root)}
        self.kept = list(files.values())
        names = columns(files["wal"].schema.names)
        for folder, table in files.items():
            self.sql.register(folder.replace("/", "_"), table)
        if kind == "table":
            table = delta(root, s3).to_pyarrow_dataset().to_table()
            self.kept.append(table)
            self.sql.register("delta", table)
            view = union("delta", "wal", names)
        else:
            view = once([f.replace("/", "_") for f in files], names)
        self.sql.execute("CREATE TABLE changes AS " + view)

    def ask(self, question):
        return self.sql.execute(question).fetchall()


class DataFusion:
    """DataFusion, with delta-rs as its reader of Delta tables."""

    def __init__(self, kind, root, s3):
        from datafusion import SessionContext

        self.sql = SessionContext()
        if s3:
            from datafusion.object_store import AmazonS3

            bucket = root[len("s3://") :].split("/")[0]
            store = AmazonS3(
                bucket_name=bucket,
                region=s3["region"],
                access_key_id=s3["key"],
                secret_access_key=s3["secret"],
                endpoint=s3["endpoint"],
                allow_http=True,
            )
            self.sql.register_object_store("s3://", store, bucket)
        names = None
        parts = []
        for folder in folders(root):
            name = folder.replace("/", "_")
            self.sql.register_parquet(name, root + "/" + folder + "/", skip_metadata=True)
            names = columns(self.sql.table(name).schema().names)
            parts.append(name)
        if kind == "table":
            self.table = delta(root, s3)
            if s3:
                # The table brings no store along to a bucket, and takes none that is known here.
                self.sql.register_dataset("delta", self.table.to_pyarrow_dataset())
            else:
                self.sql.register_table("delta", self.table)
            view = union("delta", "wal", names)
        else:
            view = once(parts, names)
        self.sql.sql("CREATE TABLE changes AS " + view)

    def ask(self, question):
        return [tuple(row.values()) for batch in self.sql.sql(question).collect() for row in batch.to_pylist()]


class Spark:
    """Spark with Delta's own library; JARS has it."""

    session = None

    def __init__(self, kind, root, s3):
        from pyspark.sql import SparkSession

        if s3 or kind != "table":
            raise SystemExit("spark is asked of a table in a folder")
        if Spark.session is None:
            delta = "io.delta.sql.DeltaSparkSessionExtension"
            catalog = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
            build = SparkSession.builder.master("local[2]").config("spark.jars", os.environ["JARS"])
            build = build.config("spark.sql.extensions", delta).config("spark.sql.catalog.spark_catalog", catalog)
            build = build.config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
            build = build.config("spark.sql.shuffle.partitions", "4").config("spark.driver.host", "127.0.0.1")
            Spark.session = build.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
        self.sql = Spark.session
        wal = self.sql.read.parquet(root + "/wal")
        names = columns(wal.schema.names).replace('"', "`")
        wal.createOrReplaceTempView("wal")
        self.sql.sql("CREATE OR REPLACE TEMPORARY VIEW changes AS " + union("delta.`%s/log`" % root, "wal", names))

    def ask(self, question):
        return [tuple(row) for row in self.sql.sql(question).collect()]


ENGINES = {"duckdb": DuckDb, "pyarrow": PyArrow, "datafusion": DataFusion, "spark": Spark}


def main():
    asked = json.load(sys.stdin)
    answers = []
    for source in asked["sources"]:
        engine = ENGINES[sys.argv[1]](source["kind"], source["root"], source.get("s3"))
        rows = [engine.ask(question) for question in asked["questions"]]
        answers.append([[[None if v is None else str(v) for v in row] for row in answer] for answer in rows])
    json.dump(answers, sys.stdout)


main()
