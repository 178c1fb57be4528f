import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { isImageError } from '../../src/errors.js'
import { hash, Registry } from '../../src/index.js'
import { noS3, s3Registry } from './s3-plugin.js'

/** The program that hashes the disks at the addresses that its standard input lists: a digest or an error each. */
export const hashAddressesProgram = fileURLToPath(import.meta.url)

async function main(): Promise<void> {
  const addresses = JSON.parse(await text(process.stdin)) as readonly string[]
  const found: string[] = []
  const registry = noS3 === undefined ? await s3Registry({ after: () => undefined }, {}) : new Registry()
  for (const address of addresses)
    try {
      const { digests } = await hash(address, { algorithm: 'sha256', registry })
      found.push(digests[0]?.digest ?? '')
    } catch (error) {
      if (!isImageError(error)) throw error
      found.push(`${error.code} ${error.message}`)
    }
  process.stdout.write(JSON.stringify(found))
}

if (process.argv[1] === hashAddressesProgram) await main()
