-- Twelve questions to a journal, in SQL that DuckDB, DataFusion, Spark and Trino have in common. They ask the view `changes`, which
-- README.md makes for each engine. What stands in braces is to be replaced.

-- 1. How many changes of each sort were there?
SELECT op, count(*) AS changes
FROM changes
WHERE op IN ('add', 'modify', 'delete')
GROUP BY op;

-- 2. What happened to one object, and who did it?
SELECT pos, rv, op, manager
FROM changes
WHERE key = '{group}/{resource}/{namespace}/{name}' AND op IN ('add', 'modify', 'delete')
ORDER BY pos DESC;

-- 3. Who changes what in a namespace?
SELECT manager, resource, count(*) AS changes
FROM changes
WHERE namespace = '{namespace}' AND op IN ('add', 'modify', 'delete')
GROUP BY manager, resource;

-- 4. Which objects change most?
SELECT key, count(*) AS changes
FROM changes
WHERE op = 'modify'
GROUP BY key
ORDER BY changes DESC, key
LIMIT 10;

-- 5. How many changes were there on each day?
SELECT CAST(CAST(time_hi AS date) AS varchar(10)) AS day_of_change, count(*) AS changes
FROM changes
WHERE op IN ('add', 'modify', 'delete')
GROUP BY CAST(CAST(time_hi AS date) AS varchar(10));

-- 6. What was deleted between two revisions, and when?
SELECT pos, key, uid
FROM changes
WHERE op = 'delete' AND domain = 'main' AND rv > {from} AND rv <= {to};

-- 7. Which objects were there at a revision?
SELECT key, uid, rv
FROM (
    SELECT key, uid, rv, op, row_number() OVER (PARTITION BY key ORDER BY rv DESC, pos DESC) AS nth
    FROM changes
    WHERE domain = 'main' AND rv <= {to} AND op IN ('add', 'modify', 'delete')
) AS newest
WHERE nth = 1 AND op <> 'delete';

-- 8. How many of each kind were there in each namespace at a revision?
SELECT namespace, kind, count(*) AS objects
FROM (
    SELECT namespace, kind, op, row_number() OVER (PARTITION BY key ORDER BY rv DESC, pos DESC) AS nth
    FROM changes
    WHERE domain = 'main' AND rv <= {to} AND op IN ('add', 'modify', 'delete')
) AS newest
WHERE nth = 1 AND op <> 'delete'
GROUP BY namespace, kind;

-- 9. Which Pods came and went, from which revision to which?
SELECT uid, min(CASE WHEN op = 'add' THEN rv END) AS came, max(CASE WHEN op = 'delete' THEN rv END) AS went
FROM changes
WHERE resource = 'pods' AND op IN ('add', 'delete')
GROUP BY uid
HAVING max(CASE WHEN op = 'delete' THEN rv END) IS NOT NULL;

-- 10. What were the objects that nobody changed since they came, as they were at a revision? Of others, `object` is only what a chain of
-- patches begins with: ask `hindcast get`.
SELECT key, object
FROM (
    SELECT key, op, resource, object, row_number() OVER (PARTITION BY key ORDER BY rv DESC, pos DESC) AS nth
    FROM changes
    WHERE domain = 'main' AND rv <= {to} AND op IN ('add', 'modify', 'delete')
) AS newest
WHERE nth = 1 AND op = 'add' AND resource <> 'secrets';

-- 11. Which changes touched a field, here whatever is below `/data` of a ConfigMap?
SELECT pos, key
FROM changes
WHERE resource = 'configmaps' AND op = 'modify' AND patch LIKE '%"path":"/data/%';

-- 12. Which objects differ between two revisions: came, went or changed?
SELECT key, max(CASE WHEN rv <= {from} THEN rv END) AS then_rv, max(rv) AS now_rv
FROM changes
WHERE domain = 'main' AND rv <= {to} AND op IN ('add', 'modify', 'delete')
GROUP BY key
HAVING max(rv) > {from};
