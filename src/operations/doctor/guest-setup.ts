import { isAzure, type Platform } from '../../platforms/index.js'
import { entryText, type BootEntry } from './boot-menu.js'
import type { Guest } from './guest.js'
import { parameter } from './root-device.js'
import type { DoctorReport } from './report.js'

const mostFiles = 64

/** What a system needs besides starting: a network by a name that lasts, agents, cloud-init, ids of its own. */
export function checkSetup(guest: Guest, platform: Platform | undefined, report: DoctorReport): void {
  checkNetworkNames(guest, report)
  if (platform === undefined) return
  checkAgents(guest, platform, report)
  checkDatasources(guest, platform, report)
  if (platform.datasources !== undefined) checkIdentity(guest, report)
}

/** Azure shows a machine's serial port, and nothing else. */
export function checkCommandLine(entry: BootEntry, platform: Platform, report: DoctorReport): void {
  if (!isAzure(platform) || entry.kernel === undefined) return
  const { parameters } = entry
  if (parameters.some((word) => word.startsWith('console=ttyS0'))) return
  report.add({
    id: 'L-CONSOLE',
    severity: 'note',
    where: entryText(entry),
    found: `console=${parameter(parameters, 'console') ?? ''}`,
    wanted: 'console=ttyS0 earlyprintk=ttyS0 rootdelay=300',
    why: 'without it nothing is seen of a machine that does not start',
    remedy: { kind: 'inside-guest', text: 'Add it to GRUB_CMDLINE_LINUX in /etc/default/grub, and run update-grub.' },
  })
}

interface NetworkPattern {
  readonly folder: string
  readonly file: RegExp
  readonly line: RegExp
}

/** Where a network is bound to the card of the old machine. */
const bound: readonly NetworkPattern[] = [
  { folder: '/etc/udev/rules.d', file: /^70-persistent-net\.rules$/, line: /^[^#]*ATTR\{address\}==.*$/m },
  { folder: '/etc/sysconfig/network-scripts', file: /^ifcfg-/, line: /^\s*(HWADDR|MACADDR)=\S+/m },
  { folder: '/etc/sysconfig/network', file: /^ifcfg-/, line: /^\s*LLADDR=\S+/m },
  { folder: '/etc/netplan', file: /\.ya?ml$/, line: /^\s*macaddress:\s*\S+/m },
  { folder: '/etc/NetworkManager/system-connections', file: /./, line: /^\s*mac-address=\S+/m },
  { folder: '/etc/systemd/network', file: /\.(network|link)$/, line: /^\s*MACAddress=\S+/m },
]

/** Names of cards that are made of their place on the bus. */
const placed = /\b(ens|enp|eno|enx)[0-9a-f]+\w*\b/
const named: readonly { readonly folder: string; readonly file: RegExp; readonly line: RegExp }[] = [
  { folder: '/etc/network', file: /^interfaces$/, line: /^\s*(auto|iface|allow-hotplug)\s+(ens|enp|eno|enx)\w+/m },
  { folder: '/etc/network/interfaces.d', file: /./, line: /^\s*(auto|iface|allow-hotplug)\s+(ens|enp|eno|enx)\w+/m },
  { folder: '/etc/netplan', file: /\.ya?ml$/, line: /^\s*(ens|enp|eno|enx)\w+:/m },
  { folder: '/etc/sysconfig/network-scripts', file: /^ifcfg-(ens|enp|eno|enx)/, line: /^\s*DEVICE=\S+/m },
  { folder: '/etc/NetworkManager/system-connections', file: /./, line: /^\s*interface-name=(ens|enp|eno|enx)\w+/m },
  { folder: '/etc/systemd/network', file: /\.network$/, line: /^\s*Name=(ens|enp|eno|enx)\w+\s*$/m },
]

function checkNetworkNames(guest: Guest, report: DoctorReport): void {
  const matches = (patterns: readonly NetworkPattern[], add: (where: string, found: string) => void): void => {
    for (const { folder, file, line } of patterns)
      for (const name of guest
        .names(folder)
        .filter((each) => file.test(each))
        .slice(0, mostFiles)) {
        const [found] = line.exec(guest.text(`${folder}/${name}`) ?? '') ?? []
        if (found !== undefined) add(`${folder}/${name}`, found.trim())
      }
  }
  report.look('network configuration')
  matches(bound, (where, found) =>
    report.add({
      id: 'L-NET-ADDRESS',
      severity: 'risk',
      where,
      found,
      wanted: 'no address of a card',
      why: 'the card has another address elsewhere: it gets another name, or no configuration',
      remedy: { kind: 'inside-guest', text: `Remove the line, or the file ${where}.` },
    }),
  )
  matches(named, (where, found) =>
    report.add({
      id: 'L-NET-NAME',
      severity: 'risk',
      where,
      found: placed.exec(found)?.[0] ?? found,
      wanted: 'a match on all cards (en*), or net.ifnames=0 and eth0',
      why: 'the name is made of the place of the card on its bus, which is another one elsewhere',
      remedy: { kind: 'inside-guest', text: `Change the name in ${where}.` },
    }),
  )
}

function checkAgents(guest: Guest, { id, agents = [] }: Platform, report: DoctorReport): void {
  if (agents.length === 0) return
  report.look('agents')
  if (agents.some(({ paths }) => paths.some((path) => guest.file(path) !== undefined))) return
  const titles = agents.map(({ title }) => title).join(' or ')
  report.add({
    id: 'L-AGENT',
    severity: 'note',
    where: 'the programs of the system',
    found: 'none of them',
    wanted: titles,
    why: `${id} talks to the guest through it: addresses, keys, shutting down`,
    remedy: { kind: 'inside-guest', text: `Install ${titles}.` },
  })
}

/** The sources that cloud-init asks, of which the last file that names them counts. */
function checkDatasources(guest: Guest, { id, datasources = [] }: Platform, report: DoctorReport): void {
  if (datasources.length === 0 || !guest.has('/etc/cloud')) return
  const files = [
    '/etc/cloud/cloud.cfg',
    ...guest
      .names('/etc/cloud/cloud.cfg.d')
      .filter((name) => name.endsWith('.cfg'))
      .slice(0, mostFiles)
      .map((name) => `/etc/cloud/cloud.cfg.d/${name}`),
  ]
  report.look('data sources of cloud-init')
  let list: { readonly where: string; readonly names: readonly string[] } | undefined
  for (const where of files) {
    const [, inline, block] =
      /^datasource_list:[ \t]*(?:\[([^\]]*)\]|((?:\n[ \t]*-[ \t]*\S+)+))/m.exec(guest.text(where) ?? '') ?? []
    const names = inline?.split(',') ?? block?.split(/\n[ \t]*-[ \t]*/)
    if (names !== undefined)
      list = { where, names: names.map((name) => name.trim().replaceAll(/["']/g, '')).filter((name) => name !== '') }
  }
  if (list === undefined || datasources.some((name) => list.names.includes(name))) return
  report.add({
    id: 'L-CI-DATASOURCE',
    severity: 'risk',
    where: list.where,
    found: `datasource_list: ${list.names.join(', ')}`,
    wanted: datasources.join(' or '),
    why: `cloud-init does not ask ${id}: no keys, no host name, no growing of the root`,
    remedy: { kind: 'inside-guest', text: `Add ${datasources[0] ?? ''} to datasource_list in ${list.where}.` },
  })
}

/** What two machines of one image would have in common. */
function checkIdentity(guest: Guest, report: DoctorReport): void {
  const machine = guest.text('/etc/machine-id')?.trim()
  const keys = guest.names('/etc/ssh').filter((name) => /^ssh_host_.*_key$/.test(name))
  const found = [
    ...(machine === undefined || machine === '' || machine === 'uninitialized' ? [] : ['/etc/machine-id']),
    ...keys.map((name) => `/etc/ssh/${name}`),
  ]
  if (found.length === 0) return
  report.add({
    id: 'L-ID',
    severity: 'note',
    where: '/etc',
    found: found.join(', '),
    wanted: 'none of them in an image that several machines are made of',
    why: 'all of those machines would have the same identity',
    remedy: { kind: 'inside-guest', text: 'truncate -s 0 /etc/machine-id; rm -f /etc/ssh/ssh_host_*' },
  })
}
