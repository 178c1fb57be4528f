import type { StoredRun } from '../http/stored-runs.js'
import { again, refuseStatus, documentOf, type Requester } from '../http/request.js'
import { apiVersion } from './api.js'
import { pageList } from './page-list.js'

/** The service does not give the list. */
class NoList extends Error {}

/**
 * What of a page blob was written; undefined where the service does not say it of this version of the blob: all of it
 * is to be read then.
 */
export async function pageRuns(
  requester: Requester,
  blob: URL,
  { size, etag }: { readonly size: number; readonly etag: string | undefined },
): Promise<StoredRun[] | undefined> {
  const url = new URL(blob)
  url.searchParams.set('comp', 'pagelist')
  const headers = { 'x-ms-version': apiVersion, ...(etag === undefined ? {} : { 'If-Match': etag }) }
  try {
    return await pageList(size, async (mark) => {
      if (mark !== undefined) url.searchParams.set('marker', mark)
      return await again(requester.label, {}, async () => {
        const answer = await requester.send(url, { headers })
        if (answer.statusCode === 200) return await documentOf(answer)
        if ((answer.statusCode ?? 0) >= 500 || answer.statusCode === 429) refuseStatus(answer, requester.label)
        answer.resume()
        throw new NoList()
      })
    })
  } catch (error) {
    if (error instanceof NoList || error instanceof SyntaxError) return undefined
    throw error
  }
}
