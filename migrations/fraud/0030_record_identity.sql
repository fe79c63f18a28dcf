-- See runtime.add_record_identity.
select runtime.add_record_identity('fraud');
