-- By which API key a charge or a reservation was made; of a settlement, that of its reservation.
alter table creditd.entry add column if not exists api_key_id integer;
