-- From here on a generation of rows has a table of its own, `assets_<generation>`: see
-- views.generation.sql. `assets` keeps the generations up to this one.
INSERT INTO notes (name, body)
SELECT 'shared', coalesce(
    (SELECT CASE WHEN json_valid(body) THEN json_extract(body, '$.last') END
     FROM notes WHERE name = 'generations'), 1);
