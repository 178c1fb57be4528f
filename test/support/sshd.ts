import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { skipReason } from './complete.js'
import { program } from './cli.js'
import { freePort, type Ending } from './ports.js'
import { isInstalled } from './tools.js'

const server = '/usr/sbin/sshd'

/** Why there can be no server; undefined where there can. */
export const sshdMissing = (): string | undefined =>
  fs.existsSync(server) && isInstalled('ssh') && isInstalled('ssh-keygen')
    ? undefined
    : skipReason('openssh-server is not installed')

export interface Sshd {
  /** `user@127.0.0.1:PORT`, as addresses have it. */
  readonly host: string
  readonly port: number
  /** What vdisk is to be started with: its ssh has the test's key and known hosts. */
  readonly env: Readonly<Record<string, string>>
  readonly process: ChildProcess
  /** The configuration of the client, to be added to. */
  readonly clientConfig: string
  readonly knownHosts: string
  /** Processes of the connections there are. */
  sessions(): number[]
}

interface SshdOptions {
  /** Whether the other side has a vdisk in its PATH; default yes. */
  readonly hasVdisk?: boolean
  /** Lines of the server's configuration, before the others: the first of a kind counts. */
  readonly config?: string
}

/** A server of OpenSSH on a free port of this machine, with keys of its own. */
export async function sshd(t: Ending, folder: string, options: SshdOptions = {}): Promise<Sshd> {
  const [port, at] = [await freePort(), (name: string) => join(folder, name)]
  for (const key of ['host-key', 'user-key'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)])
  const tools = at('tools')
  fs.mkdirSync(tools)
  fs.writeFileSync(join(tools, 'vdisk'), `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, { mode: 0o755 })
  fs.writeFileSync(
    at('sshd_config'),
    `${options.config ?? ''}
Port ${port}
ListenAddress 127.0.0.1
HostKey ${at('host-key')}
AuthorizedKeysFile ${at('user-key.pub')}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
${options.hasVdisk === false ? '' : `SetEnv PATH=${tools}:/usr/bin:/bin`}
`,
  )
  // It wants to find this folder where it runs as root.
  if (process.getuid?.() === 0) fs.mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const child = spawn(server, ['-D', '-e', '-f', at('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString()
      if (said.includes('Server listening on')) resolve()
    })
    child.on('exit', () => reject(new Error(`sshd ended: ${said}`)))
  })
  t.after(async () => {
    for (const pid of childrenOf(child.pid)) signal(pid, 'SIGKILL')
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve))
  })
  const [knownHosts, clientConfig, client] = [at('known_hosts'), at('ssh_config'), at('ssh')]
  const hostKey = fs.readFileSync(at('host-key.pub'), 'utf8')
  fs.writeFileSync(knownHosts, `[127.0.0.1]:${port} ${hostKey}`)
  fs.writeFileSync(
    clientConfig,
    `IdentityFile ${at('user-key')}\nIdentitiesOnly yes\nUserKnownHostsFile ${knownHosts}\n` +
      'GlobalKnownHostsFile none\n' +
      'StrictHostKeyChecking yes\nBatchMode yes\n',
  )
  fs.writeFileSync(client, `#!/bin/sh\nexec /usr/bin/ssh -F ${clientConfig} "$@"\n`, { mode: 0o755 })
  return {
    host: `${os.userInfo().username}@127.0.0.1:${port}`,
    port,
    env: { VDISK_SSH: client },
    process: child,
    clientConfig,
    knownHosts,
    sessions: () => childrenOf(child.pid),
  }
}

/** All processes below one. */
function childrenOf(pid: number | undefined): number[] {
  let own: string
  try {
    own = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  } catch {
    // It is gone.
    return []
  }
  const children = own.split(' ').filter(Boolean).map(Number)
  return children.flatMap((child) => [child, ...childrenOf(child)])
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It is gone already.
  }
}
