// SPDX-License-Identifier: Apache-2.0
import type { ManagementClient } from './management-client.js';
import { plainOf } from './plain-value.js';
import type { Plain, Row } from './plain-value.js';
import type { Report, ReportData } from './reports.js';

/**
 * Asks a router for what a report is made from.
 *
 * @param limit - most rows, where the report has a limit; 0 for all
 * @throws ToolError
 */
export async function fetchReport(
  client: ManagementClient,
  report: Report,
  address: string,
  limit: number,
): Promise<{ readonly data: ReportData; readonly schema: Plain }> {
  const data: Record<string, Row[]> = {};
  for (const type of report.needs) {
    // oxlint-disable-next-line no-await-in-loop
    data[type] = await client.query(address, type, report.limited ? Math.max(0, limit) : 0);
  }
  const schema = report.schema === true ? plainOf(await client.request(address, { operation: 'GET-SCHEMA' })) : null;
  return { data, schema };
}
