"""The databases of the house by URL, SQLite or PostgreSQL: transactions, migrations, and what fails in them.

Knows no table: who keeps rows brings MetaData, a folder of migrations and statements (retrieval/store, server/records).

Door: columns, constructs, engine, errors, lock, migration, reserve, snapshot.
Imports: nothing.
"""
