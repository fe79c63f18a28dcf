-- The role and the databases of the stack. Run by `cargo xtask up` at every start and by the postgres image at its
-- first one, both through psql as superuser, so each line may find its work done already.

select 'create role quadrille' where not exists (select from pg_roles where rolname = 'quadrille') \gexec
-- CREATEDB: every test has a database of its own.
alter role quadrille with login createdb password 'quadrille';

select 'create database quadrille owner quadrille'
where not exists (select from pg_database where datname = 'quadrille') \gexec

-- Apicurio keeps schemas and their ids here. In memory the ids would change at a restart, and every old message
-- would become unreadable.
select 'create database registry owner quadrille'
where not exists (select from pg_database where datname = 'registry') \gexec

\connect quadrille
select 'create extension if not exists pg_stat_statements'
where current_setting('shared_preload_libraries') like '%pg_stat_statements%' \gexec
-- Statistics of all roles may be read by the one that developers use.
grant pg_read_all_stats to quadrille;
