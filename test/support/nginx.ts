import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { freePort } from './ports.js'

export const nginxProgram = '/usr/sbin/nginx'

/**
 * nginx over a folder, which also holds what it writes itself. It runs until the caller ends it.
 * @param locations further lines of its server. @throws Error when it ends by itself.
 */
export async function startNginx(
  folder: string,
  locations = '',
): Promise<{ readonly port: number; readonly child: ChildProcess }> {
  const port = await freePort()
  const at = (name: string): string => join(folder, name)
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${at(one)};`)
  // Started by root it would read files as another user, who need not see the folder.
  const user = process.getuid?.() === 0 ? 'user root; ' : ''
  fs.writeFileSync(
    at('nginx.conf'),
    `${user}daemon off; pid ${at('pid')}; error_log ${at('errors')}; worker_processes 1; events {}
http { access_log off; sendfile on; ${places.join(' ')}
server { listen 127.0.0.1:${port}; root ${folder}; ${locations} } }`,
  )
  const child = spawn(nginxProgram, ['-c', at('nginx.conf')], { stdio: ['ignore', 'ignore', 'inherit'] })
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/nginx.conf`)
      return { port, child }
    } catch {
      if (child.exitCode !== null) throw new Error('nginx ended')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
