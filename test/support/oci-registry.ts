import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { skipReason } from './complete.js'
import { freePort, type Ending } from './ports.js'
import { isInstalled } from './tools.js'

/** Why there can be no registry, or no other program to speak with it; undefined where there can. */
export const registryMissing = (): string | undefined =>
  isInstalled('docker-registry') && isInstalled('skopeo')
    ? undefined
    : skipReason('docker-registry or skopeo is not installed')

/** Debian's registry on a free port of this machine. @returns `127.0.0.1:PORT`. */
export async function ociRegistry(t: Ending, folder: string): Promise<string> {
  const host = `127.0.0.1:${await freePort()}`
  const config = join(folder, 'registry.yml')
  fs.writeFileSync(
    config,
    `version: 0.1
log: {level: info, formatter: json}
storage: {filesystem: {rootdirectory: ${JSON.stringify(join(folder, 'registry'))}}, delete: {enabled: true}}
http: {addr: ${JSON.stringify(host)}}
`,
  )
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve))
  })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString()
      if (said.includes('listening on')) resolve()
    })
    child.on('exit', () => reject(new Error(`docker-registry ended: ${said}`)))
  })
  return host
}
