import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { program, vdisk, type CliResult } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { signal, sshd, sshdMissing } from '../support/sshd.js'
import { isInstalled, run } from '../support/tools.js'

const mebibyte = 1048576
const noQemu = isInstalled('qemu-img') ? undefined : skipReason('qemu-img is not installed')

/** 24 MiB with content, and a hole. */
function makeDisk(path: string): void {
  fs.writeFileSync(path, diskLike(7 * mebibyte, 41))
  fs.truncateSync(path, 24 * mebibyte)
  const file = fs.openSync(path, 'r+')
  fs.writeSync(file, diskLike(mebibyte, 42), 0, mebibyte, 23 * mebibyte)
  fs.closeSync(file)
}

const digest = ({ code, stdout, stderr }: CliResult): string => {
  assert.equal(code, 0, stderr)
  return stdout.toString().split(' ')[0] ?? ''
}

/** Names that a shell, a URI or an option parser would take for something else. */
const oddNames: readonly (readonly [name: Buffer, encoded: string])[] = [
  [
    Buffer.from("it's $(touch pwned) `touch pwned`; #1 100%.raw"),
    "it's%20$(touch%20pwned)%20`touch%20pwned`;%20%231%20100%25.raw",
  ],
  [Buffer.from('--from\n"x\\'), '--from%0A%22x%5C'],
  [Buffer.from([0x64, 0xff, 0x2e, 0x72, 0x61, 0x77]), 'd%FF.raw'],
]

test(
  'ssh: images of every kind give what the files give, by vdisk there and by SFTP',
  { skip: sshdMissing() ?? noQemu },
  async (t) => {
    const cwd = testFolder(t)
    const disks = join(cwd, 'disks')
    fs.mkdirSync(disks)
    makeDisk(join(disks, 'disk.raw'))
    const { host, env } = await sshd(t, cwd)
    const expected = digest(await vdisk(['hash', join(disks, 'disk.raw')], { cwd }))
    const names = ['disk.raw', 'disk.raw.gz']
    fs.writeFileSync(join(disks, 'disk.raw.gz'), gzipSync(fs.readFileSync(join(disks, 'disk.raw')), { level: 1 }))
    for (const [name, ...options] of [
      ['disk.qcow2', '-O', 'qcow2'],
      ['compressed.qcow2', '-c', '-O', 'qcow2'],
      ['disk.vhdx', '-O', 'vhdx'],
      ['disk.vhd', '-O', 'vpc', '-o', 'force_size'],
      ['stream.vmdk', '-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    ] as const) {
      run('qemu-img', 'convert', '-f', 'raw', ...options, join(disks, 'disk.raw'), join(disks, name))
      names.push(name)
    }
    for (const [index, name] of names.entries()) {
      const scheme = index % 2 === 0 ? 'ssh' : 'sftp'
      const hashed = await vdisk(['hash', `${scheme}://${host}${disks}/${name}`], { cwd, env })
      assert.equal(digest(hashed), expected, name)
      assert.equal(hashed.stderr, '', name)
    }
    const converted = await vdisk(['convert', `ssh://${host}${disks}/disk.vhdx`, 'out.qcow2', '--verify'], { cwd, env })
    assert.equal(converted.code, 0, converted.stderr)
    run('qemu-img', 'compare', join(cwd, 'out.qcow2'), join(disks, 'disk.raw'))
    for (const [index, [name, encoded]] of oddNames.entries()) {
      fs.copyFileSync(join(disks, 'disk.raw'), Buffer.concat([Buffer.from(`${disks}/`), name]))
      const scheme = index % 2 === 0 ? 'ssh' : 'sftp'
      const hashed = await vdisk(['hash', `${scheme}://${host}${disks}/${encoded}`, '--from', 'raw'], { cwd, env })
      assert.equal(digest(hashed), expected, encoded)
    }
    assert.ok(!fs.existsSync(join(cwd, 'pwned')) && !fs.existsSync(join(disks, 'pwned')))
  },
)

test('ssh: what it leaves behind may keep its pipes: that it ended is enough', async (t) => {
  const cwd = testFolder(t)
  const ssh = join(cwd, 'ssh')
  fs.writeFileSync(ssh, '#!/bin/sh\nsleep 1000 &\necho $! > left\necho no route >&2\nexit 255\n', { mode: 0o755 })
  const { code, stderr } = await vdisk(['info', 'ssh://host/disk.raw'], { cwd, env: { VDISK_SSH: ssh } })
  process.kill(Number(fs.readFileSync(join(cwd, 'left'), 'utf8')))
  assert.equal(code, 2, stderr)
  assert.match(stderr, /cannot connect: no route/)
})

test('ssh: a pipe that breaks while the other side can still be heard is a connection that was lost', async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'disk.raw'), diskLike(64 * mebibyte, 44))
  const ssh = join(cwd, 'ssh')
  const served = `'${process.execPath}' '${program}' serve --stdio --from raw '${join(cwd, 'disk.raw')}'`
  const script = [
    '#!/bin/sh',
    'exec 3<&0 0</dev/null',
    `dd bs=1 count=1500 <&3 2>/dev/null | ${served} &`,
    'exec 3<&-',
    'wait',
    'sleep 1',
  ]
  fs.writeFileSync(ssh, `${script.join('\n')}\n`, { mode: 0o755 })
  const { code, stderr } = await vdisk(['hash', 'ssh://host/disk.raw', '--from', 'raw'], {
    cwd,
    env: { VDISK_SSH: ssh },
  })
  assert.equal(code, 4, stderr)
  assert.match(stderr, /the connection was lost/)
})

/** A conversion whose connection is interfered with once it is under way. */
async function interfered(
  cwd: string,
  address: string,
  env: Readonly<Record<string, string>>,
  act: () => void,
): Promise<CliResult> {
  return await interrupted(cwd, ['convert', address, 'out.raw', '--from', 'raw'], {
    when: /"done":[1-9]/,
    act,
    again: () => fs.rmSync(join(cwd, 'out.raw')),
    rate: 16,
    env,
  })
}

test(
  'ssh: a connection that breaks or goes silent is an error, and leaves no target',
  { skip: sshdMissing() },
  async (t) => {
    const cwd = testFolder(t)
    const target = join(cwd, 'work')
    fs.mkdirSync(target)
    fs.writeFileSync(join(cwd, 'disk.raw'), diskLike(80 * mebibyte, 43))
    const server = await sshd(t, cwd)
    for (const scheme of ['ssh', 'sftp']) {
      const address = `${scheme}://${server.host}${cwd}/disk.raw`
      const killed = await interfered(target, address, server.env, () => {
        for (const pid of server.sessions()) signal(pid, 'SIGKILL')
      })
      assert.equal(killed.code, 4, killed.stderr)
      assert.match(killed.stderr, /the connection was lost/)
      const stopped: number[] = []
      const silent = await interfered(target, address, { ...server.env, VDISK_SSH_TIMEOUT: '6' }, () => {
        for (const pid of server.sessions()) {
          signal(pid, 'SIGSTOP')
          stopped.push(pid)
        }
      })
      for (const pid of stopped) signal(pid, 'SIGKILL')
      assert.equal(silent.code, 4, silent.stderr)
      assert.match(silent.stderr, /the other side does not answer[^]*VDISK_SSH_TIMEOUT/)
      assert.deepEqual(fs.readdirSync(target), [])
    }
  },
)

test('ssh: what goes wrong before there is a file is said by its name', { skip: sshdMissing() }, async (t) => {
  const cwd = testFolder(t)
  fs.writeFileSync(join(cwd, 'disk.raw'), diskLike(mebibyte, 44))
  const server = await sshd(t, cwd, { hasVdisk: false })
  const { host, env, port } = server
  const info = async (address: string, more: Readonly<Record<string, string>> = {}): Promise<CliResult> =>
    await vdisk(['info', address, '--from', 'raw'], { cwd, env: { ...env, ...more } })
  const working = await info(`ssh://${host}${cwd}/disk.raw`)
  assert.equal(working.code, 0, working.stderr)
  const other = host.replace(/^[^@]*/, 'nobody-of-that-name')
  for (const [address, code, message] of [
    [`ssh://${host}${cwd}/nothing.raw`, 2, /there is no such file/],
    [`ssh://${host}${cwd}`, 2, /is no regular file/],
    [`ssh://${other}${cwd}/disk.raw`, 2, /the login was refused: .*Permission denied/],
    [`ssh://127.0.0.1:1${cwd}/disk.raw`, 2, /cannot connect: .*Connection refused/],
    ['ssh://-oProxyCommand=touch%20pwned/disk.raw', 2, /no address of a file by SSH/],
    [`ssh://-lroot@127.0.0.1:${port}/disk.raw`, 2, /no address of a file by SSH/],
    [`ssh://a;touch@127.0.0.1:${port}/disk.raw`, 2, /no address of a file by SSH/],
    ['ssh://host$(touch pwned)/disk.raw', 2, /no address of a file by SSH/],
    ['ssh://host/folder/', 2, /it names no file/],
    ['ssh://ann:secret@host/disk.raw', 2, /takes none in an address/],
  ] as const) {
    const { code: found, stderr } = await info(address)
    assert.equal(found, code, `${address}: ${stderr}`)
    assert.match(stderr, message)
    assert.doesNotMatch(stderr, /secret/)
  }
  assert.match(
    (await info(`ssh://${host}${cwd}/disk.raw`, { VDISK_SSH: '/no/such/ssh' })).stderr,
    /ssh cannot be started/,
  )
  // An ssh that is there, and is ended before there is a connection.
  fs.writeFileSync(join(cwd, 'killed-ssh'), '#!/bin/sh\nkill -KILL $$\n', { mode: 0o755 })
  for (const scheme of ['ssh', 'sftp']) {
    const ended = await info(`${scheme}://${host}${cwd}/disk.raw`, { VDISK_SSH: join(cwd, 'killed-ssh') })
    assert.equal(ended.code, 2)
    assert.match(ended.stderr, /cannot connect/)
  }
  fs.writeFileSync(
    server.knownHosts,
    fs.readFileSync(join(cwd, 'user-key.pub'), 'utf8').replace(/^/, `[127.0.0.1]:${port} `),
  )
  const changed = await info(`ssh://${host}${cwd}/disk.raw`)
  assert.equal(changed.code, 3, changed.stderr)
  assert.match(changed.stderr, /the key of the host is not the one that is known/)
  assert.ok(!fs.existsSync(join(cwd, 'pwned')))
})

test(
  'ssh: AES goes before the usual cipher, and a cipher that the configuration names is used',
  { skip: sshdMissing() ?? (process.platform === 'linux' ? undefined : skipReason('it is not known what it can do')) },
  async (t) => {
    const cwd = testFolder(t)
    fs.writeFileSync(join(cwd, 'disk.raw'), diskLike(mebibyte, 45))
    const { host, env, clientConfig } = await sshd(t, cwd, { hasVdisk: false })
    const talking = join(cwd, 'talking-ssh')
    fs.writeFileSync(talking, `#!/bin/sh\nexec ${env['VDISK_SSH']} -v -E '${cwd}/said' "$@"\n`, { mode: 0o755 })
    const used = async (): Promise<string | undefined> => {
      fs.rmSync(join(cwd, 'said'), { force: true })
      const { code, stderr } = await vdisk(['info', `sftp://${host}${cwd}/disk.raw`, '--from', 'raw'], {
        cwd,
        env: { VDISK_SSH: talking },
      })
      assert.equal(code, 0, stderr)
      return /kex: server->client cipher: (\S+)/.exec(fs.readFileSync(join(cwd, 'said'), 'utf8'))?.[1]
    }
    const hasAes = / aes /.test(fs.readFileSync('/proc/cpuinfo', 'utf8'))
    assert.equal(await used(), hasAes ? 'aes128-gcm@openssh.com' : 'chacha20-poly1305@openssh.com')
    for (const cipher of ['aes256-ctr', 'chacha20-poly1305@openssh.com']) {
      const before = fs.readFileSync(clientConfig)
      fs.appendFileSync(clientConfig, `Ciphers ${cipher}\n`)
      assert.equal(await used(), cipher)
      fs.writeFileSync(clientConfig, before)
    }
  },
)
