/** The tables of the image library. */

import type { Migration } from '#platform/db/database.ts';

export const imageMigrations: readonly Migration[] = [
  {
    id: '001-library',
    statements: [
      `CREATE TABLE image(
         id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL CHECK(kind IN ('iso','disk','kernel','initrd')),
         format TEXT NOT NULL CHECK(format IN ('iso','qcow2','raw')), file TEXT NOT NULL UNIQUE, size_bytes INTEGER NOT NULL,
         virtual_size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, source TEXT NOT NULL, catalogue_id TEXT,
         verified TEXT NOT NULL CHECK(verified IN ('signature','checksum','given_checksum','none')), label TEXT, default_user TEXT,
         created_at TEXT NOT NULL) STRICT`,
      `CREATE TABLE upload(
         id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT, size_bytes INTEGER NOT NULL, offset_bytes INTEGER NOT NULL,
         sha256 TEXT, actor TEXT NOT NULL, operation_id TEXT, created_at TEXT NOT NULL, expires_at TEXT NOT NULL) STRICT`,
      'CREATE TABLE catalogue_check(id TEXT PRIMARY KEY, checked_at TEXT NOT NULL, result TEXT NOT NULL) STRICT',
    ],
  },
  {
    id: '002-projects',
    statements: [
      // What was there before there were projects is everybody's.
      "ALTER TABLE image ADD COLUMN project TEXT NOT NULL DEFAULT 'default'",
      'ALTER TABLE image ADD COLUMN shared INTEGER NOT NULL DEFAULT 1',
      "ALTER TABLE upload ADD COLUMN project TEXT NOT NULL DEFAULT 'default'",
    ],
  },
  {
    // A name was unique in the whole library; SQLite drops a column's UNIQUE only with its table.
    id: '003-names-in-projects',
    statements: [
      `CREATE TABLE image_in_project(
         id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL CHECK(kind IN ('iso','disk','kernel','initrd')),
         format TEXT NOT NULL CHECK(format IN ('iso','qcow2','raw')), file TEXT NOT NULL UNIQUE, size_bytes INTEGER NOT NULL,
         virtual_size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, source TEXT NOT NULL, catalogue_id TEXT,
         verified TEXT NOT NULL CHECK(verified IN ('signature','checksum','given_checksum','none')), label TEXT, default_user TEXT,
         created_at TEXT NOT NULL, project TEXT NOT NULL, shared INTEGER NOT NULL, UNIQUE(project, name)) STRICT`,
      `INSERT INTO image_in_project SELECT id, name, kind, format, file, size_bytes, virtual_size_bytes, sha256, source, catalogue_id,
         verified, label, default_user, created_at, project, shared FROM image`,
      'DROP TABLE image',
      'ALTER TABLE image_in_project RENAME TO image',
      `CREATE TABLE upload_in_project(
         id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT, size_bytes INTEGER NOT NULL, offset_bytes INTEGER NOT NULL,
         sha256 TEXT, actor TEXT NOT NULL, operation_id TEXT, created_at TEXT NOT NULL, expires_at TEXT NOT NULL,
         project TEXT NOT NULL, UNIQUE(project, name)) STRICT`,
      `INSERT INTO upload_in_project SELECT id, name, kind, size_bytes, offset_bytes, sha256, actor, operation_id, created_at, expires_at,
         project FROM upload`,
      'DROP TABLE upload',
      'ALTER TABLE upload_in_project RENAME TO upload',
    ],
  },
  { id: '004-senders', statements: ['ALTER TABLE upload ADD COLUMN sender TEXT'] },
];
