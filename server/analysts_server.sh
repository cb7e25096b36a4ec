#!/usr/bin/env bash
# The Thrift server for the analysts of a shared machine (docs/shared-server.md), in the foreground:
#
#     server/analysts_server.sh SETTINGS_FILE
#
# Spark has no permissions of its own: a user who may send it a query can use all permissions of its process. So this
# process has almost none. It sees Java, Spark, marts, seeds and audit, all read-only, and a /tmp that is deleted when it
# ends. It has no rights on the machine. Give its account on the metastore the right to read, and no other.
set -euo pipefail

fail() {
    echo "error: $*" >&2
    exit 1
}

root=$(realpath "$(dirname "$0")/..")
settings=${1:-}
[[ -r $settings ]] || fail "give the analysts' settings as a file that can be read, not '$settings'"
for program in bwrap pasta; do
    command -v $program >/dev/null || fail "$program is not installed: apt-get install bubblewrap passt"
done
[[ $(id -u) != 0 ]] || fail "run it with an account of its own, not as root"
[[ -w /dev/net/tun ]] || fail "/dev/net/tun is not open to this account: chmod 0666 /dev/net/tun"

setting() {
    sed -n "s/^$1[[:space:]=]\+//p" "$settings" | tail -1
}

warehouse=$(setting 'spark\.sql\.warehouse\.dir')
[[ -d $warehouse ]] || fail "spark.sql.warehouse.dir in $settings must be the folder of the warehouse, not '$warehouse'"
java=${JAVA_HOME:+$JAVA_HOME/bin/java}
java=$(realpath "${java:-$(command -v java || true)}" 2>/dev/null) || fail "no Java: set JAVA_HOME, or install a JDK"
java_home=${java%/bin/java}
spark_home=$(echo "$root"/.venv/lib/python*/site-packages/pyspark)
[[ -d $spark_home ]] || fail "Spark is not installed in $root/.venv: run make setup there"

visible=(--ro-bind /usr /usr --proc /proc --dev /dev --size 4294967296 --tmpfs /tmp)
for link in /bin /sbin /lib /lib64; do
    [[ ! -L $link ]] || visible+=(--symlink "$(readlink "$link")" "$link")
done
# Spark, Java, and the files of /etc that Java needs: names of machines, trusted certificates, its own settings.
for path in "$spark_home" "$java_home" /etc/hosts /etc/resolv.conf /etc/nsswitch.conf /etc/ssl/certs /etc/java-*; do
    visible+=(--ro-bind-try "$path" "$path")
done
# Marts about runs and tests are views of audit.
for database in marts marts_builds reference audit; do
    visible+=(--ro-bind-try "$warehouse/$database.db" "$warehouse/$database.db")
done
class_path=$(setting 'spark\.driver\.extraClassPath')
for path in ${class_path//:/ } $(setting 'spark\.hadoop\.hive\.server2\.keystore\.path'); do
    visible+=(--ro-bind "$path" "$path")
done

# The last of repeated settings wins: the file of the analysts' server cannot change these.
all_settings() {
    cat "$root/server/spark-defaults.conf" "$settings"
    cat <<'SETTINGS'

spark.plugins
spark.ui.enabled         false
spark.eventLog.enabled   false
spark.local.dir          /tmp
# Hive repeats a refused statement several times; waiting longer between the tries does not help.
spark.hadoop.hive.hmshandler.retry.interval  10ms
SETTINGS
}

host=$(setting 'spark\.hadoop\.hive\.server2\.thrift\.bind\.host')
port=$(setting 'spark\.hadoop\.hive\.server2\.thrift\.port')
[[ -n $host && -n $port ]] || fail "$settings must set spark.hadoop.hive.server2.thrift.bind.host and .port"
# A network of its own, without this machine's loopback, where the build's server listens.
exec pasta --foreground --quiet --config-net --no-map-gw --udp-ports none --udp-ns none \
    --tcp-ports "$host/$port" \
    --tcp-ns "${LOCAL_PORTS:-none}" -- \
    bwrap "${visible[@]}" \
    --ro-bind-data 3 /run/analysts.conf \
    --ro-bind-data 4 /etc/passwd \
    --ro-bind-data 5 '/run/classes/org/apache/hadoop/hive/llap/security/LlapSigner$Signable.class' \
    --remount-ro / \
    --unshare-all --share-net --cap-drop ALL --new-session --die-with-parent \
    --uid 1000 --gid 1000 --chdir /tmp \
    --clearenv --setenv PATH /usr/bin:/bin --setenv HOME /tmp \
    --setenv JAVA_HOME "$java_home" --setenv SPARK_HOME "$spark_home" --setenv SPARK_LOCAL_IP 127.0.0.1 \
    --setenv SPARK_DIST_CLASSPATH /run/classes \
    "$spark_home/bin/spark-submit" --class org.apache.spark.sql.hive.thriftserver.HiveThriftServer2 \
    --name analysts --properties-file /run/analysts.conf spark-internal \
    3< <(all_settings) \
    4< <(echo "analysts:x:1000:1000::/tmp:/usr/sbin/nologin") \
    5< <(python3 "$root/server/missing_class.py")
