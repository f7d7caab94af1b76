"""Stacosys as the caches find it: the Flask application of Stacosys 2 over SQLite, on Flask's own server.

    /usr/bin/python3 stacosys.py PORT

needs Debian's python3-flask. Articles /2017/article-1/ to /2017/article-10/ have 1 to 10 comments; any token will do.
"""

import logging
import sqlite3
import sys
from contextlib import closing

from flask import Flask, jsonify, request

# In memory, so that nothing is left behind; it lasts as long as one connection does.
DATABASE = "file:stacosys?mode=memory&cache=shared"

SCHEMA = """
    CREATE TABLE comment (id INTEGER PRIMARY KEY, url TEXT NOT NULL, published TEXT, content TEXT NOT NULL);
    CREATE INDEX comment_url ON comment (url);
"""

app = Flask(__name__)


def connect():
    return sqlite3.connect(DATABASE, uri=True)


@app.route("/comments/count", methods=["GET"])
def comments_count():
    url = request.args.get("url", "")
    # Flask's server has a thread for each request, and SQLite a connection for each thread.
    with closing(connect()) as database:
        (count,) = database.execute(
            "SELECT COUNT(*) FROM comment WHERE url = ? AND published IS NOT NULL", (url,)
        ).fetchone()
    return jsonify({"count": count})


def fill(database):
    database.executescript(SCHEMA)
    database.executemany(
        "INSERT INTO comment (url, published, content) VALUES (?, '2017-06-01', 'Merci !')",
        [(f"/2017/article-{n}/",) for n in range(1, 11) for _ in range(n)],
    )
    database.commit()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit(f"Usage: {sys.argv[0]} PORT")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with closing(connect()) as database:
        fill(database)
        app.run(host="127.0.0.1", port=int(sys.argv[1]), debug=False)
