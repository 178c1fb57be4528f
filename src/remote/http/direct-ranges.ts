import { DirectConnection, type DirectOutcome, type ExpectedRange } from './direct-connection.js'
import type { WantedRange } from './range-queue.js'

/** After an answer that was not plain, so many are left to Node's http before a direct one is tried again. */
const patience = 16

/** Direct connections to one server. Who asks sees to how much is under way. */
export class DirectRanges {
  readonly #milliseconds: number
  readonly #most: number
  #open: DirectConnection[] = []
  #origin = ''
  #left = 0

  /** @param milliseconds how long the server may keep silent. @param most connections at once. */
  constructor(milliseconds: number, most: number) {
    this.#milliseconds = milliseconds
    this.#most = most
  }

  /** Whether it is worth asking in this way now. */
  isToBeTried(): boolean {
    if (this.#left === 0) return true
    this.#left--
    return false
  }

  /**
   * Asks for a range, behind others where all connections are in use. Nothing is written into its memory afterwards.
   * @param headers what is sent, names and values. @param left loses each piece as it is full, and settled.
   */
  async ask(
    url: URL,
    headers: Readonly<Record<string, string>>,
    expected: ExpectedRange,
    left: WantedRange[],
  ): Promise<DirectOutcome> {
    const lines = Object.entries({ Host: url.host, ...headers, Connection: 'keep-alive' }).map((line) =>
      line.join(': '),
    )
    const start = `GET ${url.pathname}${url.search} HTTP/1.1`
    // What is no header is refused by Node's http.
    if ([start, ...lines].some((line) => /[^\t\x20-\xff]/.test(line))) return 'other'
    if (url.origin !== this.#origin) this.close()
    this.#origin = url.origin
    const request = [start, ...lines, '', ''].join('\r\n')
    const outcome = await this.#connection(url).ask(request, expected, left)
    if (outcome !== 'other') return outcome
    this.#left = patience
    // Node's http makes connections in their place.
    this.closeIdle()
    return outcome
  }

  /** Closes connections that nothing is asked of. */
  closeIdle(): void {
    for (const each of this.#open) if (each.count === 0) each.close()
  }

  close(): void {
    for (const each of this.#open) each.close()
  }

  /** The one that has the least to do; a new one as long as there may be more. */
  #connection(url: URL): DirectConnection {
    this.#open = this.#open.filter((each) => !each.isClosed)
    const [first, ...others] = this.#open
    const best = others.reduce((one, other) => (other.count < (one?.count ?? 0) ? other : one), first)
    if (best !== undefined && (best.count === 0 || this.#open.length >= this.#most)) return best
    const made = new DirectConnection(url, this.#milliseconds)
    this.#open.push(made)
    return made
  }
}
