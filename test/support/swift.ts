import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { skipReason } from './complete.js'
import { freePort, type Ending } from './ports.js'

const programs = ['swift-proxy-server', 'swift-account-server', 'swift-container-server', 'swift-object-server']
const missing = [...programs, 'memcached'].find((name) => !fs.existsSync(`/usr/bin/${name}`))

/** OpenStack Swift with its S3 interface, which is strict: why it cannot be started here. */
export const noSwift = missing === undefined ? undefined : skipReason(`${missing} is not installed`)

export interface Swift {
  /** For vdisk: endpoint and credentials. */
  readonly env: Readonly<Record<string, string>>
  /** A bucket that is there. */
  readonly bucket: string
  /** The bytes of an object, by Swift's own interface; undefined where there is none. */
  get(key: string): Promise<Buffer | undefined>
  put(key: string, bytes: Uint8Array): Promise<void>
  /** Names of all objects of a bucket: parts lie in one of their own. */
  list(bucket?: string): Promise<readonly string[]>
}

/** Starts Swift on the loopback interface, over a folder whose filesystem has extended attributes. */
export async function swift(t: Ending, folder: string): Promise<Swift> {
  const at = (name: string): string => join(folder, name)
  const user = userInfo().username
  fs.mkdirSync(at('data/d1'), { recursive: true })
  fs.writeFileSync(
    at('swift.conf'),
    '[swift-hash]\nswift_hash_path_suffix = vdisk\nswift_hash_path_prefix = test\n' +
      '[storage-policy:0]\nname = one\ndefault = yes\n[swift-constraints]\nmax_file_size = 5368709122\n',
  )
  const cache = await freePort()
  const servers = [start(t, 'memcached', ['-l', '127.0.0.1', '-p', String(cache), '-u', user, '-m', '16'], folder)]
  const common = `bind_ip = 127.0.0.1\nuser = ${user}\nswift_dir = ${folder}\nlog_level = ERROR\nlog_name = swift\n`
  for (const what of ['account', 'container', 'object']) {
    const port = await freePort()
    const ring = at(`${what}.builder`)
    const build = (...args: readonly string[]): void =>
      void execFileSync('/usr/bin/swift-ring-builder', [ring, ...args], { stdio: 'ignore' })
    build('create', '4', '1', '1')
    build('add', `r1z1-127.0.0.1:${port}/d1`, '1')
    build('rebalance')
    fs.writeFileSync(
      at(`${what}.conf`),
      `[DEFAULT]\n${common}bind_port = ${port}\ndevices = ${at('data')}\nmount_check = false\nworkers = 0\n` +
        `disable_fallocate = true\n[pipeline:main]\npipeline = ${what}-server\n` +
        `[app:${what}-server]\nuse = egg:swift#${what}\n`,
    )
    servers.push(start(t, `swift-${what}-server`, [at(`${what}.conf`)], folder))
  }
  const port = await freePort()
  const filters = ['catch_errors', 'cache', 's3api', 'tempauth', 'copy', 'slo', 'dlo', 'versioned_writes']
  const settings: Readonly<Record<string, string>> = {
    cache: `memcache_servers = 127.0.0.1:${cache}`,
    s3api: 's3_acl = no\nlocation = us-east-1\ndns_compliant_bucket_names = yes',
    tempauth: 'user_test_tester = testing .admin',
  }
  const eggs: Readonly<Record<string, string>> = { cache: 'memcache' }
  fs.writeFileSync(
    at('proxy.conf'),
    `[DEFAULT]\n${common}bind_port = ${port}\nworkers = 0\n` +
      `[pipeline:main]\npipeline = ${filters.join(' ')} proxy-server\n` +
      `[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n` +
      filters
        .map((name) => `[filter:${name}]\nuse = egg:swift#${eggs[name] ?? name}\n${settings[name] ?? ''}\n`)
        .join(''),
  )
  servers.push(start(t, 'swift-proxy-server', [at('proxy.conf')], folder))
  const bucket = 'disks'
  const api = await signedIn(`http://127.0.0.1:${port}`, servers)
  await api('PUT', bucket)
  return {
    env: {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: 'test:tester',
      AWS_SECRET_ACCESS_KEY: 'testing',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    },
    bucket,
    get: async (key) => {
      const answer = await api('GET', `${bucket}/${key}`)
      return answer.status === 404 ? undefined : Buffer.from(await answer.arrayBuffer())
    },
    put: async (key, bytes) => {
      assert.equal((await api('PUT', `${bucket}/${key}`, bytes)).status, 201)
    },
    list: async (of = bucket) => {
      const answer = await api('GET', of)
      return answer.status === 404 ? [] : (await answer.text()).split('\n').filter((line) => line !== '')
    },
  }
}

/** A server that is ended with the test. */
function start(t: Ending, program: string, args: readonly string[], folder: string): ChildProcess {
  const log = fs.openSync(join(folder, `${program}.log`), 'a')
  const child = spawn(`/usr/bin/${program}`, args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, SWIFT_DIR: folder },
  })
  fs.closeSync(log)
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGTERM')
    await ended
  })
  return child
}

/** Swift's own interface, once all of it answers. */
async function signedIn(
  url: string,
  servers: readonly ChildProcess[],
): Promise<(method: string, path: string, body?: Uint8Array) => Promise<Response>> {
  for (;;) {
    for (const { exitCode, spawnfile } of servers) assert.equal(exitCode, null, `${spawnfile} ended`)
    try {
      const headers = { 'X-Auth-User': 'test:tester', 'X-Auth-Key': 'testing' }
      const answer = await fetch(`${url}/auth/v1.0`, { headers })
      const [token, storage] = [answer.headers.get('x-auth-token'), answer.headers.get('x-storage-url')]
      if (token !== null && storage !== null) {
        const api = async (method: string, path: string, body?: Uint8Array): Promise<Response> =>
          await fetch(`${storage}/${path}`, { method, headers: { 'X-Auth-Token': token }, body })
        if ((await api('PUT', 'ready')).ok) return api
      }
    } catch {
      // It is not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
