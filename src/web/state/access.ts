/** Users, groups, roles, grants and tokens. The daemon resets every stream when rights change, so that they are read anew. */

import { api, canEverywhere } from './api.ts';
import { createResource, readAllPages } from './collection.ts';

export const users = createResource(() => readAllPages((cursor) => api('GET /users', { query: { cursor } })));

export const groups = createResource(() => readAllPages((cursor) => api('GET /groups', { query: { cursor } })));

export const roles = createResource(() => readAllPages((cursor) => api('GET /roles', { query: { cursor } })));

export const grants = createResource(() => readAllPages((cursor) => api('GET /grants', { query: { cursor } })));

export const tokens = createResource(() => readAllPages((cursor) => api('GET /tokens', { query: { cursor } })));

/** Whether the signed-in user may change users, groups and roles: these belong to no project. */
export const mayManageAccess = (): boolean => canEverywhere('access.manage');
