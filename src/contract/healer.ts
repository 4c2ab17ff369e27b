/** Who mends by itself. Apart from the schemas, because the dashboard knows it too. */

/** Under this name it stands in operations and in the audit log. */
export const HEALER = 'system:healing';
