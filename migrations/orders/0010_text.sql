-- Documents are written and read as a whole: as text they cost the database a copy, as jsonb a parser, a sorter and a printer each time.
-- Who asks in SQL casts: `details::jsonb -> 'terms'`.
alter table orders."order" alter column details type text, alter column asked type text, alter column ending type text;
alter table orders."order" alter column details set statistics 0, alter column asked set statistics 0, alter column ending set statistics 0;
