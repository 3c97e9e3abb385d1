-- An app's organisations are listed by their names, and an account is asked whose name it has.
alter table creditd.account_name add column is_organisation boolean not null default false;
update creditd.account_name n set is_organisation = true
  from creditd.account a
  where a.root_id = n.root_id and a.account_id = n.account_id and a.kind = 'organisation';
create index organisation_by_name on creditd.account_name (app_id, name) where is_organisation;
create index account_name_by_account on creditd.account_name (root_id, account_id);
